//! What people did at the vendor: mails, in folders that are listed by change.

use std::collections::{BTreeMap, HashMap};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::server::Acme;

const PAGE: usize = 50;

#[derive(Default)]
pub(crate) struct Mails {
    folders: BTreeMap<String, BTreeMap<String, Mail>>,
    /// Grows when positions are forgotten.
    epoch: u32,
    count: usize,
    /// Pages and mails that were handed out.
    pub(crate) pages: usize,
    pub(crate) served: usize,
}

struct Mail {
    changed: i64,
    gone: bool,
    said: Value,
}

impl Acme {
    /// Somebody writes a mail; gives its id.
    pub(crate) fn mail(&self, folder: &str, said: Value) -> String {
        let mut inner = self.lock();
        let changed = inner.tick();
        inner.mails.count += 1;
        let id = format!("mail-{:06}", inner.mails.count);
        let mail = Mail { changed, gone: false, said };
        inner.mails.folders.entry(folder.to_owned()).or_default().insert(id.clone(), mail);
        id
    }

    pub(crate) fn mails(&self, folder: &str, count: usize) -> Vec<String> {
        let said = |number| json!({ "subject": format!("mail {number}") });
        (0..count).map(|number| self.mail(folder, said(number))).collect()
    }

    /// Somebody deletes it.
    pub(crate) fn delete_mail(&self, folder: &str, id: &str) {
        let mut inner = self.lock();
        let changed = inner.tick();
        let mail = inner.mails.folders.get_mut(folder).unwrap().get_mut(id).unwrap();
        (mail.changed, mail.gone) = (changed, true);
    }

    /// No position is known any more.
    pub(crate) fn lose_positions(&self) {
        self.lock().mails.epoch += 1;
    }
}

/// A page of a folder: `from` is the position, without one from the beginning.
pub(super) async fn listed(
    State(acme): State<Acme>,
    Path(folder): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let mut inner = acme.lock();
    let position =
        query.get("from").filter(|from| !from.is_empty()).map(|from| from.split_once('.').unwrap());
    let epoch = inner.mails.epoch;
    let after = match position {
        Some((known, _)) if known != epoch.to_string() => return Err(StatusCode::GONE),
        Some((_, after)) => after.parse().unwrap(),
        None => 0,
    };
    let empty = BTreeMap::new();
    let mails = inner.mails.folders.get(&folder).unwrap_or(&empty);
    let mut found: Vec<_> =
        mails.iter().filter(|(_, mail)| mail.changed > after && (position.is_some() || !mail.gone)).collect();
    found.sort_by_key(|(_, mail)| mail.changed);
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().map_or(after, |(_, mail)| mail.changed);
    let results: Vec<Value> = found
        .iter()
        .map(|(id, mail)| json!({"id": id, "changed": mail.changed, "gone": mail.gone, "said": mail.said}))
        .collect();
    inner.mails.pages += 1;
    inner.mails.served += results.len();
    Ok(Json(json!({"results": results, "more": more, "position": format!("{epoch}.{last}")})))
}
