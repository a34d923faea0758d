use proto::connections::{Connection, ObjectProgress, ObjectStream};

use crate::ui;

/// The state of every stream of a connection that does not work.
const STOPPED: &str = "stopped";

/// Whether changes of the connection arrive at all.
pub(crate) fn is_followed(connection: &Connection) -> bool {
    matches!(&*connection.state, "active" | "error")
}

/// How the changes of one object arrive, where the vendor pushes them.
pub(crate) struct Row {
    pub object: String,
    pub stream: ObjectStream,
    /// What its state means.
    pub text: String,
}

impl Row {
    /// The objects whose changes the vendor pushes, or could; none where it is only asked.
    pub(crate) fn all(progress: &[ObjectProgress], connection: &Connection) -> Vec<Self> {
        let works = is_followed(connection);
        let row = |object: &ObjectProgress| {
            let mut stream = object.stream.clone()?;
            if !works {
                // What was last known of it holds no longer.
                stream =
                    ObjectStream { state: STOPPED.to_owned(), message: String::new(), since: None, ..stream };
            }
            let text = meaning(&stream, connection.poll_interval_seconds);
            Some(Self { object: object.vendor_object.clone(), text, stream })
        };
        progress.iter().filter_map(row).collect()
    }

    /// Whether the vendor pushes nothing of it, so that it is asked.
    pub(crate) fn is_polled(&self) -> bool {
        self.stream.state == "polled"
    }
}

fn meaning(stream: &ObjectStream, poll_seconds: u32) -> String {
    let state = match &*stream.state {
        "catching_up" => "What was changed before the stream began is being read.".to_owned(),
        "interrupted" => "It is being opened again and goes on where it was.".to_owned(),
        "polled" => format!("Asked for changes every {poll_seconds} s."),
        // The reason says which changes.
        _ => String::new(),
    };
    let why = if stream.message.is_empty() { String::new() } else { ui::sentence(&stream.message) };
    [state, why].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn nothing_is_live_while_the_connection_does_not_work() {
        for (state, works) in [
            ("active", true),
            ("error", true),
            ("paused", false),
            ("reauth_required", false),
            ("disconnected", false),
        ] {
            let connection = Connection { state: state.to_owned(), ..sample::salesforce_connection() };
            let rows = Row::all(&sample::streamed(), &connection);
            assert_eq!(rows.len(), 5);
            assert_eq!(rows.iter().any(|row| row.stream.state == "following"), works, "{state}");
            assert_eq!(rows.iter().all(|row| row.stream.state == STOPPED && row.text.is_empty()), !works);
            assert_eq!(rows[0].stream.position, "AAAAAAAUqWkAAA==", "where it goes on stays known");
        }
        assert!(Row::all(&sample::progress(), &sample::connection("active")).is_empty());
    }

    #[test]
    fn each_state_is_told_in_words_with_its_reason() {
        for (state, message, said) in [
            ("following", "", ""),
            (
                "interrupted",
                "the server is away",
                "It is being opened again and goes on where it was. The server is away.",
            ),
            ("lost", "the position is too old", "The position is too old."),
            ("polled", "no edition", "Asked for changes every 30 s. No edition."),
        ] {
            let stream = ObjectStream {
                state: state.to_owned(),
                message: message.to_owned(),
                ..ObjectStream::default()
            };
            assert_eq!(meaning(&stream, 30), said, "{state}");
        }
    }
}
