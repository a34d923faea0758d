//! One method per endpoint of Microsoft Graph. It knows paths, preferences and wire types, and no domain word.

use bytes::Bytes;
use connector::{Body, Error, ErrorKind, Host, Request, Session};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

/// Every path of Graph begins with it, links in answers too.
pub(crate) const VERSION: &str = "/v1.0/";
/// The rate class of everything but logins.
pub(crate) const GRAPH: &str = "graph";
/// What is read of a message.
const SELECT: &str = "subject,body,from,sender,toRecipients,ccRecipients,bccRecipients,receivedDateTime,sentDateTime,\
                      lastModifiedDateTime,conversationId,webLink,isDraft";
/// What is read beside it where a machine may have written the message.
const HEADERS: &str = ",internetMessageHeaders";
/// The property by which a mail of ours is found again. Whom it goes to does not get it.
pub(crate) const MARK: &str = "String {6f1c0b52-8d3e-4a57-9b1e-2c7f5a90d4e3} Name AccordMail";
/// `PidTagMessageClass`: what kind of item Exchange made of a message, `IPM.Note` or `REPORT.IPM.Note.NDR`.
const CLASS: &str = "singleValueExtendedProperties($filter=id%20eq%20'String%200x001A')";
/// An id that no message has, for calls that only find out whether they are allowed.
const NOBODY: &str = "accord";
/// Ids that stay when a message is moved; to be asked for with every call.
const IMMUTABLE: &str = "IdType=\"ImmutableId\"";

/// A body that is still to be read, and which call it answers.
#[derive(Debug)]
pub(crate) struct Answer {
    operation: &'static str,
    body: Bytes,
}

impl Answer {
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|source| Error::unreadable("Microsoft", self.operation, &source))
    }
}

/// The calls of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a>(pub(crate) &'a Session);

impl Client<'_> {
    pub(crate) async fn me(&self) -> Result<Answer, Error> {
        let path = "me?$select=id,displayName,mail,userPrincipalName";
        self.get("read the Microsoft account", path, Vec::new()).await
    }

    /// Whether the mailbox lets itself be read.
    pub(crate) async fn look(&self) -> Result<Answer, Error> {
        self.get("look into the mailbox", "me/mailFolders/inbox/messages?$top=1&$select=id", Vec::new()).await
    }

    /// Where a delta query over a folder begins.
    pub(crate) fn beginning(folder: &str) -> String {
        let headers = if folder == "inbox" { HEADERS } else { "" };
        format!("{VERSION}me/mailFolders/{folder}/messages/delta?$select={SELECT}{headers}")
    }

    /// A page of a delta query, by its link's path. The preferences are not part of the link.
    pub(crate) async fn delta(&self, path: &str, page_size: usize) -> Result<Answer, Error> {
        let prefer = format!("{IMMUTABLE}, odata.maxpagesize={page_size}");
        let path = path.strip_prefix(VERSION).unwrap_or(path);
        self.get("read mail", path, vec![("Prefer", prefer)]).await
    }

    pub(crate) async fn message(&self, id: &str) -> Result<Answer, Error> {
        let path = format!("{}?$select={SELECT}{HEADERS}", path_of(id));
        self.get("read a mail", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    /// In which folder a message is.
    pub(crate) async fn place(&self, id: &str) -> Result<Answer, Error> {
        let path = format!("{}?$select=parentFolderId", path_of(id));
        self.get("look where a mail is", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    /// A folder, by its well-known name.
    pub(crate) async fn folder(&self, name: &str) -> Result<Answer, Error> {
        let path = format!("me/mailFolders/{name}?$select=id");
        self.get("look for a folder", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    /// A message's class.
    pub(crate) async fn class(&self, id: &str) -> Result<Answer, Error> {
        let path = format!("{}?$select=id&$expand={CLASS}", path_of(id));
        self.get("read the class of a mail", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    /// Whether a message is still a draft.
    pub(crate) async fn state(&self, id: &str) -> Result<Answer, Error> {
        let path = format!("{}?$select=id,isDraft", path_of(id));
        self.get("look for a mail", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    /// The messages with this mark, wherever they are.
    pub(crate) async fn marked(&self, mark: &str) -> Result<Answer, Error> {
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq '{MARK}' and ep/value eq '{}')",
            mark.replace('\'', "''")
        );
        // A plus is a plus in OData.
        let filter = byte_serialize(filter.as_bytes()).collect::<String>().replace('+', "%20");
        let path = format!("me/messages?$select=id,isDraft&$filter={filter}");
        self.get("look for a mail", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    pub(crate) async fn create_draft(&self, content: &Value) -> Result<Answer, Error> {
        self.call("make a draft", Method::POST, "me/messages", Some(content)).await
    }

    /// A draft that answers a message, in its conversation.
    pub(crate) async fn create_reply(&self, id: &str, content: &Value) -> Result<Answer, Error> {
        let path = format!("{}/createReply", path_of(id));
        self.call("make a draft", Method::POST, &path, Some(content)).await
    }

    pub(crate) async fn change(&self, id: &str, content: &Value) -> Result<Answer, Error> {
        self.call("write a draft", Method::PATCH, &path_of(id), Some(content)).await
    }

    pub(crate) async fn send(&self, id: &str) -> Result<Answer, Error> {
        self.call("send a mail", Method::POST, &format!("{}/send", path_of(id)), None).await
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<Answer, Error> {
        self.call("remove a draft", Method::DELETE, &path_of(id), None).await
    }

    /// Whether drafts may be written, and whether they may be sent.
    pub(crate) async fn may_write_and_send(&self) -> Result<[bool; 2], Error> {
        let tried = [self.change(NOBODY, &json!({})).await, self.send(NOBODY).await];
        let mut may = [false; 2];
        for (may, tried) in may.iter_mut().zip(tried) {
            *may = match tried {
                Err(error) if error.kind == ErrorKind::Permission => false,
                // It is allowed, and there is no such message.
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Validation) => true,
                tried => tried.map(|_| true)?,
            };
        }
        Ok(may)
    }

    async fn get(
        &self,
        operation: &'static str,
        path: &str,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Answer, Error> {
        self.request(operation, Method::GET, path, headers, Body::Empty).await
    }

    /// A call that changes something.
    async fn call(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        content: Option<&Value>,
    ) -> Result<Answer, Error> {
        let headers = vec![("Prefer", IMMUTABLE.to_owned())];
        let body = content.map_or(Body::Empty, |content| Body::Json(content.to_string().into()));
        self.request(operation, method, path, headers, body).await
    }

    async fn request(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: Body,
    ) -> Result<Answer, Error> {
        // What makes or sends something is done once; whoever gets no answer looks first.
        let idempotent = method != Method::POST;
        let path = format!("{VERSION}{path}");
        let request = Request { host: Host::Api, class: GRAPH, method, path, headers, body, idempotent };
        match self.0.send(request).await {
            Ok(response) => Ok(Answer { operation, body: response.body }),
            Err(error) => Err(Error { operation, ..error }),
        }
    }
}

fn path_of(id: &str) -> String {
    let id: String = byte_serialize(id.as_bytes()).collect();
    format!("me/messages/{id}")
}
