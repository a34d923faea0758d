use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use axum::http::{HeaderMap, Method};
use connector::{
    Account, Activity, ActivityPage, AuthorizeRequest, Body, Capabilities, Change, ChangeStream, Connector,
    Cursor, Error, ErrorKind, Feed, Fetch, Grant, Host, LimitHint, Login, MissingScope, Page, RateClass,
    Request, Response, Retry, Session, Subscription, VendorInfo,
};
use jiff::Timestamp;
use model::{
    ActivityParticipant, ApplyWrite, ChangeKind, CoveredValue, FieldSchema, FieldType, IssueCategory,
    ObjectSchema, Value, WriteKind, WriteOutcome,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use url::Url;

use super::{mail::Mailbox, stream::AcmeStream};

const RATES: &[RateClass] = &[RateClass { name: "core", calls: 2_000, window: Duration::from_secs(1) }];
const SEARCH: RateClass = RateClass { name: "search", calls: 5, window: Duration::from_secs(1) };

/// A vendor without limits to speak of, whose index is up to 400 ms late.
pub(crate) const FAST: Capabilities = Capabilities {
    objects: &["companies", "deals"],
    page_size: 50,
    write_batch: 10,
    late_index: &[Duration::from_millis(400)],
    sweeps_deleted: true,
    quiet: &["owner"],
    rotates_refresh_token: true,
    streams: false,
    feeds: &[],
    rates: RATES,
};

/// The same with five searches a second.
pub(crate) const SLOW: Capabilities = Capabilities { rates: &[SEARCH, RATES[0]], ..FAST };

/// The same with a stream.
pub(crate) const STREAMING: Capabilities = Capabilities { streams: true, ..FAST };

/// Another vendor of that name: it has no records, and tells of mails.
pub(crate) const TELLING: Capabilities = Capabilities {
    objects: &[],
    sweeps_deleted: false,
    quiet: &[],
    feeds: &[
        Feed { name: "inbox", label: "Inbox", every: Duration::from_millis(100), has_bodies: false },
        Feed { name: "sent", label: "Sent items", every: Duration::from_millis(100), has_bodies: true },
    ],
    ..FAST
};

/// The same, polled once in a week; it tells at an address of ours what is new in the inbox.
pub(crate) const PUSHING: Capabilities = Capabilities {
    feeds: &[
        Feed { name: "inbox", label: "Inbox", every: Duration::from_secs(604_800), has_bodies: false },
        Feed { name: "sent", label: "Sent items", every: Duration::from_secs(604_800), has_bodies: true },
    ],
    ..TELLING
};

/// The connector of the scripted vendor.
pub(crate) struct AcmeConnector {
    pub(crate) url: Url,
    /// Whether it prolongs what it was asked to tell.
    pub(crate) prolongs: bool,
    pub(crate) capabilities: Capabilities,
    /// Where it sends mail.
    pub(crate) mailbox: Option<Mailbox>,
}

pub(super) fn request(class: &'static str, method: Method, path: impl Into<String>, body: Body) -> Request {
    Request { host: Host::Api, class, method, path: path.into(), headers: Vec::new(), body, idempotent: true }
}

fn json_body(json: &Json) -> Body {
    Body::Json(json.to_string().into())
}

pub(super) fn read(response: &Response) -> Result<Json, Error> {
    serde_json::from_slice(&response.body)
        .map_err(|error| Error::new(ErrorKind::Protocol, "read an answer", "no JSON").with_source(error))
}

pub(super) fn moment(json: &Json) -> Timestamp {
    Timestamp::from_millisecond(json.as_i64().unwrap()).unwrap()
}

/// A record as a listing shows it.
fn change(result: &Json, fields: &[String]) -> Change {
    let value = |name: &String| Value::text(result["fields"][name].as_str().unwrap_or_default());
    Change {
        id: result["id"].as_str().unwrap().into(),
        kind: ChangeKind::Upserted,
        version: result["modified"].as_i64().unwrap(),
        changed_at: moment(&result["modified"]),
        fields: fields.iter().map(|name| (name.clone(), value(name))).collect(),
        is_partial: false,
        field_times: BTreeMap::new(),
        external_id: result["external_id"].as_str().map(Into::into),
        merged_ids: Vec::new(),
        says_ours: false,
    }
}

/// A mail as its folder shows it.
fn activity(feed: &str, result: &Json) -> Activity {
    let (id, version) = (result["id"].as_str().unwrap(), result["changed"].as_i64().unwrap());
    let at = moment(&result["changed"]);
    if result["gone"].as_bool().unwrap() {
        return Activity::gone(id, version, at);
    }
    let said = &result["said"];
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    let people = said["people"].as_array().into_iter().flatten();
    let person = |(place, email): (usize, &Json)| ActivityParticipant {
        role: if place == 0 { "from" } else { "to" }.into(),
        name: text("name"),
        email: email.as_str().unwrap().into(),
    };
    Activity {
        kind: "email".into(),
        direction: if feed == "sent" { "outbound" } else { "inbound" }.into(),
        subject: text("subject"),
        body: text("body"),
        thread: text("thread"),
        url: text("url"),
        participants: people.enumerate().map(person).collect(),
        is_gone: false,
        ..Activity::gone(id, version, at)
    }
}

impl AcmeConnector {
    fn token_request(&self, fields: Vec<(&'static str, SecretString)>) -> Request {
        request("oauth", Method::POST, "/token", Body::Form(fields))
    }
}

#[async_trait]
impl Connector for AcmeConnector {
    fn vendor(&self) -> VendorInfo {
        VendorInfo {
            name: "acme",
            label: "Acme",
            summary: "Companies and deals.",
            logins: &[Login { site: "", label: "Main office" }, Login { site: "branch", label: "Branch" }],
            own_login: None,
        }
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn mailer(&self) -> Option<&dyn connector::Mailer> {
        self.mailbox.as_ref().map(|mailbox| mailbox as _)
    }

    fn pusher(&self) -> Option<&dyn connector::Pusher> {
        self.tells()
    }

    fn base_url(&self) -> &Url {
        &self.url
    }

    fn authorize_url(&self, request: &AuthorizeRequest<'_>) -> Url {
        let query = [
            ("redirect_uri", request.redirect_uri),
            ("state", request.state),
            ("code_challenge", request.code_challenge),
            ("scope", "read write"),
        ];
        Url::parse_with_params(&format!("{}authorize", self.url), query).unwrap()
    }

    fn exchange_request(&self, code: &str, redirect_uri: &str, code_verifier: &SecretString) -> Request {
        self.token_request(vec![
            ("grant_type", "authorization_code".into()),
            ("code", code.into()),
            ("redirect_uri", redirect_uri.into()),
            ("code_verifier", code_verifier.clone()),
        ])
    }

    fn refresh_request(&self, refresh_token: &SecretString) -> Request {
        self.token_request(vec![
            ("grant_type", "refresh_token".into()),
            ("refresh_token", refresh_token.clone()),
        ])
    }

    fn revoke_request(&self, refresh_token: &SecretString) -> Option<Request> {
        let path = format!("/token/{}", refresh_token.expose_secret());
        Some(request("oauth", Method::DELETE, path, Body::Empty))
    }

    fn read_grant(&self, response: &Response) -> Result<Grant, Error> {
        const READ: &str = "read the grant";
        if response.status == 400 {
            let message = "the refresh token is not valid any more";
            return Err(Error::new(ErrorKind::AccessRevoked, READ, message));
        }
        self.check(response)?;
        let json = read(response)?;
        Ok(Grant {
            access_token: json["access_token"].as_str().unwrap().into(),
            refresh_token: json["refresh_token"].as_str().map(Into::into),
            expires_in: Some(Duration::from_secs(json["expires_in"].as_u64().unwrap())),
            api_url: None,
        })
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        if let Some(refusal) = super::stream::refusal(response.status, &response.body) {
            return Err(refusal);
        }
        let error = |kind| Err(Error::new(kind, "call acme", format!("status {}", response.status)));
        match response.status {
            200..300 => Ok(()),
            401 => error(ErrorKind::TokenExpired),
            403 => error(ErrorKind::Permission),
            404 => error(ErrorKind::NotFound),
            410 => error(ErrorKind::PositionLost),
            429 => error(ErrorKind::RateLimit)
                .map_err(|error| error.with_retry(Retry::After(Duration::from_millis(300)))),
            500.. => error(ErrorKind::Unavailable),
            _ => error(ErrorKind::Validation),
        }
    }

    fn limit_hint(&self, _: &str, headers: &HeaderMap) -> Option<LimitHint> {
        let (left, calls) = headers.get("acme-day")?.to_str().ok()?.split_once('/')?;
        let daily = Some((calls.parse().ok()?, left.parse().ok()?));
        Some(LimitHint { limit: 10_000, remaining: 10_000, window: Duration::from_secs(1), daily })
    }

    async fn account(&self, session: &Session) -> Result<Account, Error> {
        let json = read(&session.send(request("core", Method::GET, "/me", Body::Empty)).await?)?;
        let scopes: Vec<String> = serde_json::from_value(json["scopes"].clone()).unwrap();
        let missing =
            ["read", "write"].into_iter().filter(|scope| !scopes.iter().any(|granted| granted == scope));
        let missing = missing.map(|scope| MissingScope {
            scope: scope.into(),
            consequence: format!("Accord cannot {scope} records"),
        });
        Ok(Account {
            id: json["id"].as_str().unwrap().into(),
            name: format!("Acme Inc{}", json["said"].as_str().unwrap()),
            tier: None,
            missing: missing.collect(),
            scopes,
            notices: vec!["It is only a test.".into()],
        })
    }

    async fn describe(&self, session: &Session) -> Result<Vec<ObjectSchema>, Error> {
        let json = read(&session.send(request("core", Method::GET, "/schema", Body::Empty)).await?)?;
        let said = json["said"].as_str().unwrap();
        let field = |name: &Json| FieldSchema {
            name: name.as_str().unwrap().into(),
            label: name.as_str().unwrap().to_uppercase() + said,
            field_type: FieldType::Text,
            description: said.to_owned(),
            options: Vec::new(),
            read_only: false,
            required: false,
            unique: false,
            custom: false,
            references: None,
        };
        let fields: Vec<FieldSchema> = json["names"].as_array().unwrap().iter().map(field).collect();
        let object = |name: &&str| ObjectSchema {
            name: (*name).into(),
            label: (*name).into(),
            fields: fields.clone(),
        };
        Ok(self.capabilities.objects.iter().map(object).collect())
    }

    async fn fetch_changes(&self, session: &Session, fetch: &Fetch<'_>) -> Result<Page, Error> {
        let limit = self.capabilities.page_size;
        // Without an id, everything at exactly this moment is still to be read.
        let (from, id) = match &fetch.from.id {
            Some(id) => (fetch.from.time.as_millisecond(), id.as_str()),
            None => (fetch.from.time.as_millisecond() - 1, "\u{10ffff}"),
        };
        let ask = json!({"object": fetch.object, "from": from, "id": id, "limit": limit,
            "until": fetch.until.map(Timestamp::as_millisecond)});
        let answer = session.send(request("search", Method::POST, "/search", json_body(&ask))).await?;
        let json = read(&answer)?;
        let results = json["results"].as_array().unwrap();
        let changes: Vec<Change> = results.iter().map(|result| change(result, fetch.fields)).collect();
        let next = changes.last().map_or_else(
            || fetch.from.clone(),
            |last| Cursor { time: last.changed_at, id: Some(last.id.clone()) },
        );
        Ok(Page { more: changes.len() == limit, changes, next, total: json["total"].as_u64() })
    }

    async fn date_fields(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        changes: &mut [Change],
    ) -> Result<(), Error> {
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let path = format!("/dates/{}", schema.name);
        let json = read(&session.send(request("core", Method::POST, path, json_body(&json!(ids)))).await?)?;
        for change in changes {
            let set = fields.iter().filter_map(|name| Some((name, json[&change.id].get(name)?)));
            change.field_times = set.map(|(name, at)| (name.clone(), moment(at))).collect();
        }
        Ok(())
    }

    async fn fetch_activities(
        &self,
        session: &Session,
        feed: &str,
        position: Option<&str>,
        _now: Timestamp,
    ) -> Result<ActivityPage, Error> {
        let path = format!("/feed/{feed}?from={}", position.unwrap_or_default());
        let json = read(&session.send(request("core", Method::GET, path, Body::Empty)).await?)?;
        let activities = json["results"].as_array().unwrap().iter().map(|result| activity(feed, result));
        Ok(ActivityPage {
            activities: activities.collect(),
            position: json["position"].as_str().unwrap().into(),
            more: json["more"].as_bool().unwrap(),
        })
    }

    async fn fetch_deleted(
        &self,
        session: &Session,
        object: &str,
        page: Option<&str>,
    ) -> Result<(Vec<Change>, Option<String>), Error> {
        let path = format!("/deleted/{object}?after={}", page.unwrap_or_default());
        let json = read(&session.send(request("core", Method::GET, path, Body::Empty)).await?)?;
        let change = |result: &Json| {
            let (id, version) = (result["id"].as_str().unwrap(), result["at"].as_i64().unwrap());
            Change::deleted(id.into(), version, moment(&result["at"]))
        };
        let changes = json["results"].as_array().unwrap().iter().map(change).collect();
        Ok((changes, json["next"].as_str().map(Into::into)))
    }

    async fn fetch_records(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        ids: &[String],
    ) -> Result<Vec<Change>, Error> {
        let path = format!("/records/{}", schema.name);
        let json = read(&session.send(request("core", Method::POST, path, json_body(&json!(ids)))).await?)?;
        Ok(json.as_array().unwrap().iter().map(|result| change(result, fields)).collect())
    }

    async fn subscribe(
        &self,
        session: &Session,
        subscription: &Subscription<'_>,
    ) -> Result<Box<dyn ChangeStream>, Error> {
        let Subscription { schema, fields, position } = subscription;
        Ok(Box::new(AcmeStream::open(session, &schema.name, fields, *position).await?))
    }

    async fn fetch_moved(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        fields: &[String],
        quiet: &[String],
        known: BTreeMap<String, BTreeMap<String, Value>>,
    ) -> Result<Vec<Change>, Error> {
        let path = format!("/records/{}", schema.name);
        let ids: Vec<&String> = known.keys().collect();
        let json = read(&session.send(request("core", Method::POST, path, json_body(&json!(ids)))).await?)?;
        let changes = json.as_array().unwrap().iter().map(|result| change(result, fields));
        let moved = |it: &Change| quiet.iter().any(|name| it.fields.get(name) != known[&it.id].get(name));
        Ok(changes.filter(moved).collect())
    }

    async fn prepare_external_id(&self, session: &Session, object: &str) -> Result<(), Error> {
        session.send(request("core", Method::POST, format!("/prepare/{object}"), Body::Empty)).await?;
        Ok(())
    }

    async fn write(
        &self,
        session: &Session,
        schema: &ObjectSchema,
        writes: &[ApplyWrite],
    ) -> Vec<Result<WriteOutcome, Error>> {
        let wire = |write: &ApplyWrite| {
            let fields: serde_json::Map<String, Json> =
                write.fields.iter().map(|(name, value)| (name.clone(), value.to_string().into())).collect();
            match &write.write {
                WriteKind::Create { external_id } => json!({"external_id": external_id, "fields": fields}),
                WriteKind::Update { id, .. } | WriteKind::Archive { id } => {
                    json!({"id": id, "fields": fields})
                }
            }
        };
        let ask = json!({"object": schema.name, "writes": writes.iter().map(wire).collect::<Vec<_>>()});
        let answer = session.send(request("core", Method::POST, "/write", json_body(&ask))).await;
        let json = match answer.and_then(|answer| read(&answer)) {
            Ok(json) => json,
            Err(error) => {
                let again =
                    || Error::new(error.kind, error.operation, error.message.clone()).with_retry(error.retry);
                return writes.iter().map(|_| Err(again())).collect();
            }
        };
        let outcome = |(write, result): (&ApplyWrite, &Json)| {
            Ok(match result["error"].as_str() {
                Some(message) => WriteOutcome::Rejected {
                    category: IssueCategory::Validation,
                    message: message.into(),
                    field: result["field"].as_str().map(Into::into),
                },
                None => WriteOutcome::Applied {
                    vendor_id: result["id"].as_str().unwrap().into(),
                    version: result["modified"].as_i64().unwrap(),
                    fields: write.fields.clone(),
                    covered: covered(write, &result["covered"]),
                },
            })
        };
        writes.iter().zip(json["results"].as_array().unwrap()).map(outcome).collect()
    }
}

/// Foreign values that the vendor had, where they are not those that the write expected.
fn covered(write: &ApplyWrite, json: &Json) -> BTreeMap<String, CoveredValue> {
    let WriteKind::Update { expected, .. } = &write.write else { return BTreeMap::new() };
    let values = json.as_object().unwrap().iter().filter_map(|(name, value)| {
        let value = Value::text(value.as_str()?);
        let at = Timestamp::UNIX_EPOCH;
        (*expected.get(name)? != value).then(|| (name.clone(), CoveredValue { value, at }))
    });
    values.collect()
}
