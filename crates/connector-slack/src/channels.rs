//! The channels of a workspace. A page may hold fewer than were asked for, even none: only the cursor tells the end.

use connector::{Error, MessageChannel};

use crate::client::{Client, next_page};

/// The channels that are not archived, by name.
pub(crate) async fn list(client: Client<'_>) -> Result<Vec<MessageChannel>, Error> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.channels(&cursor).await?;
        let open = page.channels.into_iter().filter(|channel| !channel.is_archived);
        found.extend(open.map(|channel| MessageChannel {
            id: channel.id,
            name: channel.name,
            is_private: channel.is_private,
            is_member: channel.is_member,
        }));
        match next_page("list Slack channels", &cursor, page.response_metadata.next_cursor)? {
            Some(next) => cursor = next,
            None => break,
        }
    }
    found.sort_unstable_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(found)
}
