//! One method per endpoint of Google. It knows paths, rate classes and wire types, and no domain word.

use connector::{Body, Error, ErrorKind, Host, Request, Session};
use http::Method;
use serde::de::DeserializeOwned;

use crate::{auth::OAUTH, position, wire};

/// The rate class of the Calendar API.
pub(crate) const CALENDAR: &str = "calendar";
/// The rate class of the Meet API.
pub(crate) const MEET: &str = "meet";
/// No list of one conference has more pages: a hundred lines each are said in a day and a night.
const MOST_PAGES: usize = 200;

/// The calls of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    session: &'a Session,
}

impl<'a> Client<'a> {
    pub(crate) const fn new(session: &'a Session) -> Self {
        Self { session }
    }

    pub(crate) async fn token_info(&self, request: Request) -> Result<wire::TokenInfo, Error> {
        self.send("read the Google token's rights", request).await
    }

    pub(crate) async fn user_info(&self) -> Result<wire::UserInfo, Error> {
        let request = get(Host::Api, OAUTH, "/oauth2/v3/userinfo", &[])?;
        self.send("read the Google account", request).await
    }

    pub(crate) async fn events(&self, query: &[(&str, &str)]) -> Result<wire::Events, Error> {
        let request = get(Host::Api, CALENDAR, "/calendar/v3/calendars/primary/events", query)?;
        self.send("list calendar events", request).await
    }

    pub(crate) async fn conference_records(
        &self,
        query: &[(&str, &str)],
    ) -> Result<wire::Page<wire::ConferenceRecord>, Error> {
        self.send("list Meet conferences", get(Host::Other, MEET, "/v2/conferenceRecords", query)?).await
    }

    /// `space` is its resource name, `spaces/…`.
    pub(crate) async fn space(&self, space: &str) -> Result<wire::Space, Error> {
        self.send("read a Meet space", get(Host::Other, MEET, &below(space, "")?, &[])?).await
    }

    pub(crate) async fn transcripts(&self, conference: &str) -> Result<Vec<wire::Transcript>, Error> {
        self.all("list Meet transcripts", &below(conference, "/transcripts")?, "100").await
    }

    pub(crate) async fn entries(&self, transcript: &str) -> Result<Vec<wire::TranscriptEntry>, Error> {
        self.all("read a Meet transcript", &below(transcript, "/entries")?, "100").await
    }

    pub(crate) async fn participants(&self, conference: &str) -> Result<Vec<wire::Participant>, Error> {
        let path = below(conference, "/participants")?;
        self.all("list the participants of a Meet conference", &path, "250").await
    }

    /// All pages of a list of Meet.
    async fn all<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        size: &str,
    ) -> Result<Vec<T>, Error> {
        let (mut items, mut page) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let token = page.as_deref().map(|page| ("pageToken", page));
            let query: Vec<_> = std::iter::once(("pageSize", size)).chain(token).collect();
            let read: wire::Page<T> = self.send(operation, get(Host::Other, MEET, path, &query)?).await?;
            items.extend(read.items);
            page = position::next(page.as_deref(), read.next_page_token)?;
            if page.is_none() {
                break;
            }
        }
        Ok(items)
    }

    async fn send<T: DeserializeOwned>(&self, operation: &'static str, request: Request) -> Result<T, Error> {
        let answer = self.session.send(request).await.map_err(|error| Error { operation, ..error })?;
        serde_json::from_slice(&answer.body).map_err(|source| Error::unreadable("Google", operation, &source))
    }
}

/// The path of a resource that Google named.
fn below(resource: &str, what: &str) -> Result<String, Error> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte);
    if resource.is_empty() || !resource.bytes().all(fits) {
        let message = "Google named a resource in a way that is not documented";
        return Err(Error::new(ErrorKind::Protocol, "call Meet", message));
    }
    Ok(format!("/v2/{resource}{what}"))
}

fn get(host: Host, class: &'static str, path: &str, query: &[(&str, &str)]) -> Result<Request, Error> {
    let query = serde_urlencoded::to_string(query).map_err(|source| {
        Error::new(ErrorKind::Protocol, "call Google", "the request cannot be written").with_source(source)
    })?;
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(Request {
        host,
        class,
        method: Method::GET,
        path: format!("{path}{mark}{query}"),
        headers: Vec::new(),
        body: Body::Empty,
        idempotent: true,
    })
}
