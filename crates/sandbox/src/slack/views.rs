//! `views.*`: dialogs, opened for a person who has just done something.

use serde_json::{Map, Value, json};

use super::auth::secret;
use super::blocks::{Checker, VIEW_MOST, check};
use super::call::{Args, Call, Outcome, Reply};
use super::errors::Failure;
use super::sim::Sim;

/// How many dialogs lie on top of each other.
const STACK_MOST: usize = 3;
const VIEW_BYTES: usize = 250_000;

/// A dialog that somebody looks at.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) id: String,
    pub(crate) team_id: String,
    pub(crate) user_id: String,
    pub(crate) root_id: String,
    pub(crate) previous_id: Option<String>,
    pub(crate) hash: String,
    pub(crate) bot_id: String,
    /// What the app sent: title, blocks, private metadata.
    pub(crate) shape: Map<String, Value>,
    /// What the app or the vendor found wrong with what was filled in, by block.
    pub(crate) errors: Vec<(String, String)>,
}

impl View {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.shape.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn blocks(&self) -> &Value {
        self.shape.get("blocks").unwrap_or(&Value::Null)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.shape.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The dialog as the vendor tells of it.
    pub(crate) fn wire(&self, app_id: &str, state: Option<&Value>) -> Value {
        let get = |key: &str| self.shape.get(key).cloned().unwrap_or(Value::Null);
        json!({
            "id": self.id, "team_id": self.team_id, "type": "modal", "title": get("title"),
            "submit": get("submit"), "close": get("close"), "blocks": self.blocks(),
            "private_metadata": self.text("private_metadata"), "callback_id": self.text("callback_id"),
            "external_id": self.text("external_id"), "hash": self.hash,
            "state": state.cloned().unwrap_or_else(|| json!({"values": {}})),
            "clear_on_close": self.flag("clear_on_close"), "notify_on_close": self.flag("notify_on_close"),
            "root_view_id": self.root_id, "previous_view_id": self.previous_id, "app_id": app_id,
            "app_installed_team_id": self.team_id, "bot_id": self.bot_id,
        })
    }
}

/// What an app may show, checked.
pub(crate) fn shape(view: &Value) -> Result<Map<String, Value>, Vec<String>> {
    let mut checker = Checker::default();
    let Some(mut kept) = view.as_object().cloned() else {
        return Err(vec!["[ERROR] must be an object [json-pointer:/view]".to_owned()]);
    };
    if kept.get("type") != Some(&json!("modal")) {
        checker.note("/view/type", "must be one of: modal");
    }
    checker.text(&mut kept, "title", "/view", true, 24, Some("plain_text"));
    checker.text(&mut kept, "submit", "/view", false, 24, Some("plain_text"));
    checker.text(&mut kept, "close", "/view", false, 24, Some("plain_text"));
    for (key, most) in [("private_metadata", 3_000), ("callback_id", 255), ("external_id", 255)] {
        checker.string(&kept, key, "/view", false, most);
    }
    let blocks = kept.get("blocks").cloned();
    if blocks.is_none() {
        checker.note("/view", "missing required field: blocks");
    }
    let has_inputs = |blocks: &Value| {
        blocks.as_array().is_some_and(|list| list.iter().any(|block| block["type"] == "input"))
    };
    if blocks.as_ref().is_some_and(has_inputs) && !kept.contains_key("submit") {
        checker.note("/view", "`submit` is required when an `input` block is in the `blocks` array");
    }
    kept = checker.end(kept)?;
    if let Some(blocks) = blocks {
        kept.insert("blocks".to_owned(), check(&blocks, "/view/blocks", VIEW_MOST)?);
    }
    Ok(kept)
}

fn asked(args: &Args) -> Result<Map<String, Value>, Failure> {
    let view =
        args.structure("view", "invalid_arguments")?.ok_or_else(|| Failure::missing_argument("view"))?;
    if view.to_string().len() > VIEW_BYTES {
        return Err(Failure::named("view_too_large"));
    }
    shape(&view).map_err(|problems| Failure::told("invalid_arguments", &problems))
}

/// `views.open`
pub(crate) fn open(sim: &mut Sim, call: &Call) -> Outcome {
    show(sim, call, false)
}

/// `views.push`: on top of the one that the person has just used.
pub(crate) fn push(sim: &mut Sim, call: &Call) -> Outcome {
    show(sim, call, true)
}

fn show(sim: &mut Sim, call: &Call, on_top: bool) -> Outcome {
    let (args, caller) = (call.args()?, call.caller()?);
    let trigger = args.needed("trigger_id")?;
    // The vendor looks at the dialog first: a wrong one does not use the trigger up.
    let shape = asked(args)?;
    let external = shape.get("external_id").and_then(Value::as_str).unwrap_or_default();
    let is_taken = |view: &View| view.team_id == caller.team_id && view.text("external_id") == external;
    if !external.is_empty() && sim.views.iter().any(is_taken) {
        return Err(Failure::named("duplicate_external_id"));
    }
    let user_id = sim.use_trigger(&trigger, &caller.team_id, call.now_ms)?;
    let bot_id = caller.bot.bot_id.to_owned();
    let view = sim.show(&caller.team_id, &user_id, bot_id, shape, on_top, call.now_ms)?;
    Reply::ok(json!({"view": view.wire(&sim.settings.app_id, None)}))
}

/// `views.update`
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let (args, caller) = (call.args()?, call.caller()?);
    let shape = asked(args)?;
    let (id, external, hash) = (args.text("view_id"), args.text("external_id"), args.text("hash"));
    let is_meant = |view: &&mut View| {
        view.team_id == caller.team_id
            && match (&id, &external) {
                (Some(id), _) => view.id == *id,
                (None, Some(external)) => view.text("external_id") == external,
                (None, None) => false,
            }
    };
    let app_id = sim.settings.app_id.clone();
    let view = sim.views.iter_mut().find(is_meant).ok_or_else(|| Failure::named("not_found"))?;
    if hash.is_some_and(|hash| hash != view.hash) {
        return Err(Failure::named("hash_conflict"));
    }
    view.replace(shape, call.now_ms);
    Reply::ok(json!({"view": view.wire(&app_id, None)}))
}

impl View {
    pub(crate) fn replace(&mut self, shape: Map<String, Value>, now_ms: i64) {
        self.shape = shape;
        self.hash = format!("{}.{}", now_ms / 1_000, secret(8));
        self.errors.clear();
    }
}

impl Sim {
    /// Shows somebody a dialog, in the place of the one they look at or on top of it.
    pub(crate) fn show(
        &mut self,
        team: &str,
        user: &str,
        bot_id: String,
        shape: Map<String, Value>,
        on_top: bool,
        now_ms: i64,
    ) -> Result<View, Failure> {
        let is_theirs = |view: &View| view.team_id == team && view.user_id == user;
        if !on_top {
            self.views.retain(|view| !is_theirs(view));
        }
        let below: Vec<&View> = self.views.iter().filter(|view| is_theirs(view)).collect();
        if below.len() >= STACK_MOST {
            return Err(Failure::named("push_limit_reached"));
        }
        let (root, previous) =
            (below.first().map(|view| view.id.clone()), below.last().map(|view| view.id.clone()));
        let workspace = self.workspace(team).ok_or_else(|| Failure::named("team_not_found"))?;
        let id = workspace.new_id('V');
        let view = View {
            root_id: root.unwrap_or_else(|| id.clone()),
            previous_id: previous,
            team_id: team.to_owned(),
            user_id: user.to_owned(),
            hash: format!("{}.{}", now_ms / 1_000, secret(8)),
            id,
            bot_id,
            shape,
            errors: Vec::new(),
        };
        self.views.push(view.clone());
        Ok(view)
    }

    /// The dialog of an id, or else the topmost one of a person.
    pub(crate) fn view_of(&self, team: &str, user: &str, id: Option<&str>) -> Option<&View> {
        let mut theirs = self.views.iter().rev().filter(|view| view.team_id == team && view.user_id == user);
        theirs.find(|view| id.is_none_or(|id| view.id == id))
    }
}
