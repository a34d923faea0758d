//! What left a folder: a delta query says the same of a message that was deleted and of one that was moved elsewhere,
//! <https://learn.microsoft.com/en-us/graph/delta-query-messages>.

use connector::{Error, ErrorKind};

use crate::{
    client::Client,
    read::{FEEDS, folder_of},
    wire,
};

/// The well-known names of the folders of what was deleted: by a person, and from there.
const DELETED: [&str; 2] = ["deleteditems", "recoverableitemsdeletions"];

/// The ids of the folders in which a message is gone from a feed: those of what was deleted, and those of the other feeds,
/// which tell it as theirs. In any other, an archive or one of the person's own, it stays what was told of it.
pub(crate) struct Ends(Vec<String>);

impl Ends {
    /// They are asked for where something left the feed's folder. A mailbox may lack one of them.
    pub(crate) async fn of(client: Client<'_>, feed: &str, rows: &[wire::Message]) -> Result<Self, Error> {
        let mut ends = Vec::new();
        if rows.iter().any(|row| row.removed.is_some()) {
            let others = FEEDS.iter().filter(|other| other.name != feed);
            for name in DELETED.into_iter().chain(others.filter_map(|other| folder_of(other.name))) {
                match client.folder(name).await {
                    Ok(answer) => ends.push(answer.read::<wire::Folder>()?.id),
                    Err(error) if error.kind == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Self(ends))
    }

    /// Whether a message that left the feed's folder is nowhere, or in one of these.
    pub(crate) async fn have(&self, client: Client<'_>, id: &str) -> Result<bool, Error> {
        match client.place(id).await {
            Ok(answer) => Ok(self.0.contains(&answer.read::<wire::Place>()?.parent_folder_id)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}
