//! Mail that goes out: a draft with an immutable id and a mark of ours, then the draft is sent.

use async_trait::async_trait;
use connector::{Activity, Error, ErrorKind, FoundMail, Mailer, Session};
use model::{ActivityParticipant, MailId, SendMail};
use serde_json::{Value, json};

use crate::{
    M365,
    client::{Answer, Client, MARK},
    error, mail,
    read::{INBOX, SENT},
    wire,
};

const NO_RIGHT: &str = "this mailbox was connected without the right to write and send mail (Mail.ReadWrite and Mail.Send): connect \
                        it again and allow both";

#[async_trait]
impl Mailer for M365 {
    async fn draft(&self, session: &Session, mail: &SendMail) -> Result<String, Error> {
        let client = Client(session);
        let made = match mail.answers.as_deref() {
            None => draft_id(&client.create_draft(&content(mail)).await.map_err(in_words)?)?,
            Some(asked) => {
                // The answer to a mail of one's own goes to oneself, and quotes it: both are replaced, and only then it is marked
                // as whole.
                let begun = json!({"message": {"singleValueExtendedProperties": [mark(&begun(mail.mail))]}});
                let asked = [INBOX, SENT]
                    .iter()
                    .find_map(|feed| asked.strip_prefix(feed)?.strip_prefix(':'))
                    .unwrap_or(asked);
                let draft = client.create_reply(asked, &begun).await.map_err(of_answered)?;
                let draft = draft_id(&draft)?;
                client.change(&draft, &content(mail)).await.map_err(in_words)?;
                draft
            }
        };
        Ok(made)
    }

    async fn find(
        &self,
        session: &Session,
        mail: MailId,
        draft: Option<&str>,
    ) -> Result<Option<FoundMail>, Error> {
        let client = Client(session);
        if let Some(draft) = draft {
            return match client.state(draft).await {
                Ok(answer) => Ok(Some(found(answer.read()?))),
                Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(in_words(error)),
            };
        }
        for unfinished in listed(&client.marked(&begun(mail)).await.map_err(in_words)?)? {
            self.discard(session, &unfinished.id).await?;
        }
        Ok(listed(&client.marked(&mail.to_string()).await.map_err(in_words)?)?.into_iter().map(found).next())
    }

    async fn send(&self, session: &Session, draft: &str) -> Result<(), Error> {
        Client(session).send(draft).await.map(drop).map_err(in_words)
    }

    fn external_id(&self, draft: &str) -> String {
        format!("{SENT}:{draft}")
    }

    async fn sent(&self, session: &Session, draft: &str) -> Result<Activity, Error> {
        let own = self.own_addresses(session).await?;
        let message = Client(session).message(draft).await?;
        let sent = mail::from_wire(message.read()?, self.external_id(draft), true, &own);
        let Some(mut sent) = sent else {
            let message = "Microsoft gave a sent mail that does not say when it changed";
            return Err(Error::new(ErrorKind::Protocol, "read a mail", message));
        };
        // For a moment it may still look like the draft, which has no sender.
        if let Some(own) = own.first()
            && !sent.participants.iter().any(|who| who.role == "from")
        {
            let from =
                ActivityParticipant { role: "from".to_owned(), name: String::new(), email: own.clone() };
            sent.participants.insert(0, from);
        }
        Ok(sent)
    }

    async fn discard(&self, session: &Session, draft: &str) -> Result<(), Error> {
        match Client(session).delete(draft).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(in_words(error)),
            _ => Ok(()),
        }
    }
}

/// What a draft says. An answer keeps its own subject where none is given.
fn content(mail: &SendMail) -> Value {
    let to = json!({"emailAddress": {"name": mail.to.name, "address": mail.to.address}});
    let mut content = json!({
        "body": {"contentType": "text", "content": mail.text},
        "toRecipients": [to], "ccRecipients": [], "bccRecipients": [],
        "singleValueExtendedProperties": [mark(&mail.mail.to_string())],
    });
    if mail.answers.is_none() || !mail.subject.is_empty() {
        content["subject"] = json!(mail.subject);
    }
    content
}

fn mark(value: &str) -> Value {
    json!({"id": MARK, "value": value})
}

/// The mark of an answer that does not say yet what it is to say.
fn begun(mail: MailId) -> String {
    format!("{mail} begun")
}

fn draft_id(answer: &Answer) -> Result<String, Error> {
    answer.read::<wire::Made>().map(|made| made.id)
}

fn listed(answer: &Answer) -> Result<Vec<wire::Made>, Error> {
    answer.read::<wire::Listing>().map(|listing| listing.value)
}

fn found(message: wire::Made) -> FoundMail {
    FoundMail { is_sent: message.is_draft == Some(false), id: message.id }
}

/// A failure with a code of ours and what to do about it.
fn in_words(error: Error) -> Error {
    let code = error.code.as_deref().unwrap_or_default().to_ascii_lowercase();
    let said = |error: Error, code: &str, message: &str| {
        Error { message: message.to_owned(), ..error }.with_code(code)
    };
    match error.kind {
        ErrorKind::Permission if error::is_without_mailbox(&error) => {
            let message = error.message.clone();
            said(error, "mailbox_missing", &message)
        }
        ErrorKind::Permission
            if matches!(&*code, "" | "erroraccessdenied" | "authorization_requestdenied") =>
        {
            said(error, "scope_missing", NO_RIGHT)
        }
        ErrorKind::Permission => said(
            error,
            "sending_not_allowed",
            "Microsoft does not let the account that connected send this mail",
        ),
        ErrorKind::Validation if code == "errorinvalidrecipients" => {
            said(error, "recipient_refused", "Microsoft does not take the address of the recipient")
        }
        ErrorKind::Validation => said(error, "mail_refused", "Microsoft does not take the mail"),
        _ => error,
    }
}

/// The mail that is to be answered may be gone, or its id be none.
fn of_answered(error: Error) -> Error {
    let is_id =
        error.code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case("ErrorInvalidIdMalformed"));
    if error.kind == ErrorKind::NotFound || is_id {
        let message = "the mail that it answers is not in the mailbox any more";
        let gone = Error { kind: ErrorKind::NotFound, message: message.to_owned(), ..error };
        return gone.with_code("answered_mail_gone");
    }
    in_words(error)
}
