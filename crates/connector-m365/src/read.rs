//! Pages of mail: a delta query over each folder, and over what changed in it since.

use std::time::Duration;

use connector::{Activity, ActivityPage, Error, ErrorKind, Feed, Retry, http::HttpError};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use url::Url;

use crate::{
    client::{Answer, Client, VERSION},
    mail,
    moved::Ends,
    wire,
};

const READ: &str = "read mail";
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// The feeds, with the well-known names of their folders.
pub(crate) const FEEDS: [Feed; 2] = [
    Feed { name: INBOX, label: "Inbox", every: FIVE_MINUTES, has_bodies: true },
    Feed { name: SENT, label: "Sent Items", every: FIVE_MINUTES, has_bodies: true },
];
pub(crate) const INBOX: &str = "inbox";
pub(crate) const SENT: &str = "sent";

/// Messages a page, and fewer where they are so large that a page of them is too large an answer. A delta query gives as
/// many as `odata.maxpagesize` says, <https://learn.microsoft.com/en-us/graph/delta-query-messages>.
pub(crate) const PAGE_SIZES: [usize; 3] = [200, 20, 1];
/// A mailbox answers four calls at once, <https://learn.microsoft.com/en-us/graph/throttling-limits>, and has two feeds.
const READ_AT_ONCE: usize = 2;

/// The well-known name of a feed's folder.
pub(crate) fn folder_of(feed: &str) -> Option<&'static str> {
    match feed {
        INBOX => Some("inbox"),
        SENT => Some("sentitems"),
        _ => None,
    }
}

/// A page of a feed behind a position. `own` are the addresses of the mailbox.
pub(crate) async fn fetch(
    client: Client<'_>,
    feed: &str,
    position: Option<&str>,
    own: &[String],
    now: Timestamp,
) -> Result<ActivityPage, Error> {
    let none = || Error::new(ErrorKind::Protocol, READ, "there is no such feed of mail");
    let folder = folder_of(feed).ok_or_else(none)?;
    let beginning = Client::beginning(folder);
    let path = position.unwrap_or(&beginning);
    let answer = page(client, path).await.map_err(|error| of_position(error, position.is_some()))?;
    let delta: wire::Delta = answer.read()?;
    let (link, more) = match (delta.next_link, delta.delta_link) {
        (Some(next), _) => (next, true),
        (None, Some(delta)) => (delta, false),
        (None, None) => return Err(undocumented("a page of mail without a link to what follows")),
    };
    let position = position_of(&client.0.api_url(), &link)
        .ok_or_else(|| undocumented("a link that leads away from Microsoft Graph"))?;
    let ends = &Ends::of(client, feed, &delta.value).await?;
    let rows = stream::iter(delta.value.into_iter().map(|row| read(client, row, feed, ends)));
    let rows: Vec<Option<Row>> = rows.buffered(READ_AT_ONCE).try_collect().await?;
    let told = rows.into_iter().flatten().map(|row| tell(row, feed, own, now));
    let activities = told.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(ActivityPage { activities, position, more })
}

/// As many messages as an answer holds.
async fn page(client: Client<'_>, path: &str) -> Result<Answer, Error> {
    let [most, fewer, one] = PAGE_SIZES;
    for size in [most, fewer] {
        match client.delta(path, size).await {
            Err(error) if is_too_large(&error) => {}
            other => return other,
        }
    }
    client.delta(path, one).await
}

fn is_too_large(error: &Error) -> bool {
    let source = error.source.as_deref().and_then(|source| source.downcast_ref());
    matches!(source, Some(HttpError::TooLarge))
}

/// A position that Microsoft does not take is lost, whatever it calls that. Where there was none, nothing is.
fn of_position(error: Error, had_one: bool) -> Error {
    match (error.kind, had_one) {
        (ErrorKind::NotFound | ErrorKind::Validation, true) => {
            let message = "Microsoft does not take the position in the folder any more";
            Error { kind: ErrorKind::PositionLost, message: message.to_owned(), retry: Retry::Never, ..error }
        }
        (ErrorKind::PositionLost, false) => {
            let message = "Microsoft does not begin to list the folder";
            Error {
                kind: ErrorKind::Unavailable,
                message: message.to_owned(),
                retry: Retry::Backoff,
                ..error
            }
        }
        _ => error,
    }
}

/// The part of a link that is kept: its path, so that no link ever leads a token elsewhere.
fn position_of(api: &Url, link: &str) -> Option<String> {
    let path = link.strip_prefix(api.as_str().trim_end_matches('/'))?;
    path.starts_with(VERSION).then(|| path.to_owned())
}

/// A row of a page: without a message, it is gone.
struct Row {
    id: String,
    message: Option<wire::Message>,
}

/// A row with all that is to be known of it.
async fn read(client: Client<'_>, row: wire::Message, feed: &str, ends: &Ends) -> Result<Option<Row>, Error> {
    let Some(mut row) = whole(client, row, ends).await? else { return Ok(None) };
    if let Some(message) =
        row.message.as_mut().filter(|message| feed == INBOX && mail::may_be_report(message))
    {
        match client.class(&row.id).await {
            Ok(answer) => {
                let told: wire::Extended = answer.read()?;
                message.class = told.single_value_extended_properties.into_iter().next().map(|it| it.value);
            }
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            // Then the mail itself has to say what it is.
            Err(error) if error.kind == ErrorKind::Validation => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(row))
}

/// A row that says all that is asked for: one of what changed is read again. None when it is gone by now, of which the
/// next round tells, and when it is somewhere else.
async fn whole(client: Client<'_>, row: wire::Message, ends: &Ends) -> Result<Option<Row>, Error> {
    let id = row.id.clone();
    if row.removed.is_some() {
        return Ok(ends.have(client, &id).await?.then_some(Row { id, message: None }));
    }
    if mail::is_whole(&row) {
        return Ok(Some(Row { id, message: Some(row) }));
    }
    match client.message(&id).await {
        Ok(answer) => Ok(Some(Row { id, message: Some(answer.read()?) })),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a row tells; drafts tell nothing. A message that was moved from one feed's folder to the other's is gone from one and
/// new in the other, in any order: that is why the feed is part of the id.
fn tell(row: Row, feed: &str, own: &[String], now: Timestamp) -> Result<Option<Activity>, Error> {
    let id = format!("{feed}:{}", row.id);
    let Some(message) = row.message else {
        return Ok(Some(Activity::gone(id, mail::gone_version(now), now)));
    };
    if message.is_draft == Some(true) {
        return Ok(None);
    }
    let mail = mail::from_wire(message, id, feed == SENT, own);
    mail.map(Some).ok_or_else(|| undocumented("a mail that does not say when it changed"))
}

fn undocumented(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, READ, format!("Microsoft gave {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_path_of_graph() {
        let api: Url = "https://graph.microsoft.com".parse().unwrap();
        let link = "https://graph.microsoft.com/v1.0/me/mailFolders('inbox')/messages/delta?$skiptoken=a%3D";
        let path = "/v1.0/me/mailFolders('inbox')/messages/delta?$skiptoken=a%3D";
        assert_eq!(position_of(&api, link).as_deref(), Some(path));
        for elsewhere in [
            "https://graph.microsoft.com.evil.example/v1.0/me",
            "https://graph.microsoft.com@evil.example/v1.0/me",
            "http://graph.microsoft.com/v1.0/me",
            "https://graph.microsoft.com/beta/me",
            "/v1.0/me",
            "",
        ] {
            assert_eq!(position_of(&api, elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_position_that_is_refused_is_lost_and_a_beginning_is_not() {
        let of = |kind, had_one| of_position(Error::new(kind, READ, "x"), had_one);
        assert_eq!(of(ErrorKind::Validation, true).kind, ErrorKind::PositionLost);
        assert_eq!(of(ErrorKind::NotFound, true).kind, ErrorKind::PositionLost);
        assert_eq!(of(ErrorKind::PositionLost, true).kind, ErrorKind::PositionLost);
        assert_eq!(of(ErrorKind::Permission, true).kind, ErrorKind::Permission);
        assert_eq!(of(ErrorKind::Validation, false).kind, ErrorKind::Validation);
        let beginning = of(ErrorKind::PositionLost, false);
        assert_eq!((beginning.kind, beginning.retry), (ErrorKind::Unavailable, Retry::Backoff));
    }
}
