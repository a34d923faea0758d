//! One method per endpoint of Microsoft Graph. It knows paths, preferences and wire types, and no domain word.

use bytes::Bytes;
use connector::{Body, Error, Host, Request, Session};
use http::Method;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

/// Every path of Graph begins with it, links in answers too.
pub(crate) const VERSION: &str = "/v1.0/";
/// The rate class of everything but logins.
pub(crate) const GRAPH: &str = "graph";
/// What is read of a message.
const SELECT: &str = "subject,body,from,sender,toRecipients,ccRecipients,bccRecipients,receivedDateTime,sentDateTime,\
                      lastModifiedDateTime,conversationId,webLink,isDraft";
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
        format!("{VERSION}me/mailFolders/{folder}/messages/delta?$select={SELECT}")
    }

    /// A page of a delta query, by its link's path. The preferences are not part of the link.
    pub(crate) async fn delta(&self, path: &str, page_size: usize) -> Result<Answer, Error> {
        let prefer = format!("{IMMUTABLE}, odata.maxpagesize={page_size}");
        let path = path.strip_prefix(VERSION).unwrap_or(path);
        self.get("read mail", path, vec![("Prefer", prefer)]).await
    }

    pub(crate) async fn message(&self, id: &str) -> Result<Answer, Error> {
        let id: String = byte_serialize(id.as_bytes()).collect();
        let path = format!("me/messages/{id}?$select={SELECT}");
        self.get("read a mail", &path, vec![("Prefer", IMMUTABLE.to_owned())]).await
    }

    async fn get(
        &self,
        operation: &'static str,
        path: &str,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Answer, Error> {
        let request = Request {
            host: Host::Api,
            class: GRAPH,
            method: Method::GET,
            path: format!("{VERSION}{path}"),
            headers,
            body: Body::Empty,
            idempotent: true,
        };
        match self.0.send(request).await {
            Ok(response) => Ok(Answer { operation, body: response.body }),
            Err(error) => Err(Error { operation, ..error }),
        }
    }
}
