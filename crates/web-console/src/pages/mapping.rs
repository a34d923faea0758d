use askama::Template;
use axum::extract::{Path, Query, State};
use proto::sync::{FieldMapping, Mapping, MappingRequest, PendingChange};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The states by which the review can be narrowed.
const STATES: &[&str] = &["suggested", "auto_mapped", "confirmed", "unmapped", "ignored"];
pub(crate) const DIRECTIONS: &[&str] = &["bidirectional", "to_vendor", "from_vendor"];
pub(crate) const POLICIES: &[&str] = &["platform_wins", "crm_wins", "newest_wins", "manual"];
/// What a blank does, and how it is called.
const BLANKS: &[(&str, &str)] = &[
    ("wins", "A blank is a value"),
    ("never_overwrites", "A blank never overwrites"),
    ("only_fills", "Only fill blanks"),
];
/// What becomes of one side's record when the other's is gone.
const DELETES: &[(&str, &str)] =
    &[("detach", "Keep it, stop syncing it"), ("archive", "Archive it, too"), ("delete", "Delete it, too")];

/// The review of a mapping: one row for each field here, with what it is paired with and why.
#[derive(Template)]
#[template(path = "mapping.html")]
pub(crate) struct MappingPage {
    shell: Shell,
    vendor: String,
    connection_path: String,
    base: String,
    mapping: Mapping,
    pending: Pending,
    counts: Counts,
    rows: Vec<Row>,
    /// The text that rows were narrowed by.
    query: String,
}
respond::page_response!(MappingPage);

/// The changes that wait for a plan of them to be applied.
#[derive(Template)]
#[template(path = "_mapping_pending.html")]
pub(crate) struct Pending {
    base: String,
    token: String,
    may_map: bool,
    changes: Vec<PendingChange>,
}

impl Pending {
    pub(crate) fn new(shell: &Shell, mapping: &Mapping, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            token: shell.token().to_owned(),
            may_map: shell.may_map(),
            changes: mapping.pending_changes.clone(),
        }
    }
}

/// How many changes wait, in words.
pub(super) fn waiting(changes: &[PendingChange]) -> String {
    ui::count(&(changes.len() as u64), "change waits", "changes wait")
}

/// How many fields are in each state, as links that narrow the review.
#[derive(Template)]
#[template(path = "_mapping_counts.html")]
pub(crate) struct Counts {
    base: String,
    all: usize,
    /// Internal name, label, fields.
    states: Vec<(&'static str, String, usize)>,
    current: String,
    revision: i64,
}

/// One field of the review.
#[derive(Template)]
#[template(path = "_mapping_row.html")]
pub(crate) struct Row {
    base: String,
    token: String,
    vendor: String,
    may_map: bool,
    field: FieldMapping,
}

impl Row {
    pub(crate) fn new(shell: &Shell, mapping: &Mapping, base: &str, field: &FieldMapping) -> Self {
        Self {
            base: base.to_owned(),
            token: shell.token().to_owned(),
            vendor: ui::vendor(&mapping.vendor),
            may_map: shell.may_map(),
            field: field.clone(),
        }
    }

    fn is_mapped(&self) -> bool {
        !self.field.vendor_field.is_empty() && self.field.state != "unmapped" && self.field.state != "ignored"
    }

    /// The transforms, one in each line.
    fn transforms(&self) -> String {
        self.field.transforms.join("\n")
    }

    /// The value map, one pair in each line: as it was set, else as it is suggested.
    fn values(&self) -> String {
        let field = &self.field;
        let pairs = if field.values.is_empty() { &field.suggested_values } else { &field.values };
        let lines: Vec<String> =
            pairs.iter().map(|pair| format!("{} = {}", pair.ours, pair.theirs)).collect();
        lines.join("\n")
    }

    /// The options that a value map may name, by side.
    fn options(&self) -> [(&'static str, String); 2] {
        let names = |options: &[proto::v1::PicklistOption]| {
            let names: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
            names.join(", ")
        };
        [("here", names(&self.field.options)), ("there", names(&self.field.vendor_options))]
    }

    /// Whether values are mapped one by one.
    fn has_options(&self) -> bool {
        let field = &self.field;
        !field.options.is_empty() || !field.vendor_options.is_empty() || !field.values.is_empty()
    }

    /// The confidence in whole percent.
    fn percent(&self) -> String {
        format!("{:.0}%", self.field.confidence * 100.0)
    }
}

impl Counts {
    pub(crate) fn new(mapping: &Mapping, base: &str, current: &str) -> Self {
        let count = |state: &str| mapping.fields.iter().filter(|field| field.state == state).count();
        let states = STATES.iter().map(|&state| (state, label(state), count(state)));
        Self {
            base: base.to_owned(),
            all: mapping.fields.len(),
            states: states.collect(),
            current: current.to_owned(),
            revision: mapping.revision,
        }
    }
}

fn label(state: &str) -> String {
    if state == "auto_mapped" { "Auto-mapped".to_owned() } else { ui::spaced(state) }
}

/// What the address says about the review.
#[derive(Default, Deserialize)]
pub(crate) struct Narrow {
    #[serde(default)]
    state: String,
    #[serde(default)]
    q: String,
}

impl MappingPage {
    fn new(shell: Shell, mapping: Mapping, narrow: Narrow) -> Self {
        let connection_path = format!("/settings/integrations/{}/{}", mapping.vendor, mapping.connection_id);
        let base = format!("{connection_path}/mappings/{}", mapping.id);
        let words = narrow.q.to_lowercase();
        let is_shown = |field: &&FieldMapping| {
            let texts = [&field.field, &field.field_label, &field.vendor_field, &field.vendor_field_label];
            (narrow.state.is_empty() || field.state == narrow.state)
                && (words.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&words)))
        };
        let mut fields: Vec<&FieldMapping> = mapping.fields.iter().filter(is_shown).collect();
        // What waits for a person comes first, the surest of it on top.
        fields.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.confidence.total_cmp(&a.confidence)));
        Self {
            rows: fields.into_iter().map(|field| Row::new(&shell, &mapping, &base, field)).collect(),
            pending: Pending::new(&shell, &mapping, &base),
            counts: Counts::new(&mapping, &base, &narrow.state),
            vendor: ui::vendor(&mapping.vendor),
            query: narrow.q,
            connection_path,
            base,
            mapping,
            shell,
        }
    }

    /// The conditions of the filter, one in each line.
    fn conditions(&self) -> String {
        self.mapping.filter.as_ref().map_or_else(String::new, |filter| filter.conditions.join("\n"))
    }

    /// Whether one condition of the filter is enough.
    fn any(&self) -> bool {
        self.mapping.filter.as_ref().is_some_and(|filter| filter.any)
    }

    /// Fields that wait for a person.
    fn waiting(&self) -> usize {
        self.mapping.fields.iter().filter(|field| field.state == "suggested").count()
    }

    /// Fields that will be synced.
    fn mapped(&self) -> usize {
        self.mapping
            .fields
            .iter()
            .filter(|field| matches!(&*field.state, "auto_mapped" | "confirmed"))
            .count()
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, sample::mapping(2, "draft"), Narrow::default())
    }

    pub(crate) fn sample_changed(shell: Shell) -> Self {
        Self::new(shell, sample::mapping(2, "active"), Narrow::default())
    }

    pub(crate) fn sample_new(shell: Shell) -> Self {
        let mut mapping = sample::mapping(2, "draft");
        for field in &mut mapping.fields {
            *field = FieldMapping {
                field: field.field.clone(),
                field_label: field.field_label.clone(),
                field_type: field.field_type.clone(),
                state: "unmapped".to_owned(),
                policy: "newest_wins".to_owned(),
                ..FieldMapping::default()
            };
        }
        Self::new(shell, mapping, Narrow::default())
    }
}

fn rank(field: &FieldMapping) -> usize {
    STATES.iter().position(|state| *state == field.state).unwrap_or(STATES.len())
}

/// The path parameters of everything below a mapping: vendor, connection, mapping.
pub(crate) type Where = Path<(String, String, String)>;

/// The mapping at this path; another connection's mapping is not there.
pub(crate) async fn find(
    app: &App,
    visitor: &Visitor,
    (vendor, connection, mapping): &(String, String, String),
) -> Result<Mapping, Failure> {
    let request = visitor.ask(MappingRequest { mapping_id: mapping.clone() })?;
    let mapping = app.rooms().sync().get_mapping(request).await?.into_inner();
    if mapping.connection_id == *connection && mapping.vendor == *vendor {
        Ok(mapping)
    } else {
        Err(Failure::not_found())
    }
}

/// `GET …/mappings/{mapping}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(place): Where,
    Query(narrow): Query<Narrow>,
) -> Result<MappingPage, Failure> {
    let mapping = find(&app, &visitor, &place).await?;
    let shell = visitor.shell(format!("{} mapping", mapping.object_label), Nav::Integrations);
    Ok(MappingPage::new(shell, mapping, narrow))
}
