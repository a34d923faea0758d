//! From a query's structure to fields of the org.

use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;

use super::{Expr, Item, Literal, Op, Path, Select, Sight, Which, Wrong};
use crate::salesforce::id::Id;
use crate::salesforce::schema::{Field, Kind, Place};
use crate::salesforce::time::{date_of, datetime, midnight};

const FIELDS_MOST: usize = 200;
const OFFSET_MOST: usize = 2_000;
/// How many parents a path may go through.
const HOPS_MOST: usize = 5;
const CUSTOM: &str = "If you are attempting to use a custom field, be sure to append the '__c' after the custom \
                      field name. Please reference your WSDL or the describe call for the appropriate names.";

/// What a row shows.
#[derive(Debug)]
pub(crate) enum Node {
    Field(Arc<Field>),
    /// A parent, the object it is of, and what it shows.
    Parent {
        name: String,
        through: u16,
        at: usize,
        nodes: Vec<Node>,
    },
}

/// A query that is ready to run.
#[derive(Debug)]
pub(crate) struct Query {
    /// The object's position in the org.
    pub(crate) at: usize,
    pub(crate) nodes: Vec<Node>,
    /// `COUNT()`: no rows, only how many there are.
    pub(crate) count: bool,
    pub(super) filter: Option<Condition>,
    pub(super) order: Vec<Key>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

/// A field, of the record itself or of a parent.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// References on the way and the objects they lead to.
    pub(super) hops: Vec<(u16, usize)>,
    pub(super) field: Arc<Field>,
}

#[derive(Debug)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Test { column: Column, op: Op, values: Vec<Operand> },
}

/// A value in the form it is compared in: text in small letters, times in seconds, dates as text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Id(Id),
    Seconds(i64),
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) column: Column,
    pub(super) descending: bool,
    pub(super) nulls_last: bool,
}

pub(super) fn bind(select: Select, sight: Sight<'_>) -> Result<Query, Wrong> {
    let (from, place) = &select.from;
    let hidden = sight.hidden.iter().any(|name| name.eq_ignore_ascii_case(from));
    let at = sight.org.find(from).filter(|_| !hidden).ok_or_else(|| {
        let message = format!(
            "sObject type '{from}' is not supported. If you are attempting to use a custom object, be sure to \
             append the '__c' after the entity name. Please reference your WSDL or the describe call for the \
             appropriate names."
        );
        Wrong::new("INVALID_TYPE", *place, message)
    })?;
    if select.offset > OFFSET_MOST {
        let message = format!("Maximum SOQL offset allowed is {OFFSET_MOST}");
        return Err(Wrong::new("NUMBER_OUTSIDE_VALID_RANGE", 0, message));
    }
    let binder = Binder { sight, root: at };
    let mut query = Query {
        at,
        nodes: Vec::new(),
        count: false,
        filter: None,
        order: Vec::new(),
        limit: select.limit,
        offset: select.offset,
    };
    let alone = select.items.len() == 1;
    for item in &select.items {
        match item {
            Item::Path(path) => binder.show(&mut query.nodes, path)?,
            Item::Count if alone => query.count = true,
            Item::Count => return Err(Wrong::malformed(0, "COUNT() must be the only thing selected")),
            Item::Fields(which, place) => binder.all(&mut query, *which, *place)?,
        }
    }
    query.filter = select.filter.map(|filter| binder.condition(filter)).transpose()?;
    for ordering in &select.order {
        let column = binder.column(&ordering.path)?;
        if !column.field.sortable {
            let message = format!("field '{}' can not be sorted in a query call", column.field.name);
            return Err(Wrong::new("INVALID_FIELD", ordering.path.at, message));
        }
        let (descending, nulls_last) = (ordering.descending, ordering.nulls_last);
        query.order.push(Key { column, descending, nulls_last });
    }
    Ok(query)
}

#[derive(Clone, Copy)]
struct Binder<'a> {
    sight: Sight<'a>,
    root: usize,
}

impl Binder<'_> {
    fn all(&self, query: &mut Query, which: Which, place: usize) -> Result<(), Wrong> {
        if which != Which::Standard && query.limit.is_none_or(|limit| limit > FIELDS_MOST) {
            let message = format!("The SOQL FIELDS function must have a LIMIT of at most {FIELDS_MOST}");
            return Err(Wrong::malformed(place, message));
        }
        let fields = self.sight.org.objects[self.root].schema.live_fields();
        let wanted = fields.filter(|field| which == Which::All || field.custom == (which == Which::Custom));
        query.nodes.extend(wanted.cloned().map(Node::Field));
        Ok(())
    }

    /// The parents a path goes through, and its field.
    fn column(&self, path: &Path) -> Result<Column, Wrong> {
        let Some((name, parents)) = path.names.split_last() else {
            return Err(Wrong::malformed(path.at, "unexpected token: '.'"));
        };
        let root = &self.sight.org.objects[self.root].schema;
        // A path may begin with the object's own name.
        let own = parents.first().is_some_and(|first| {
            first.eq_ignore_ascii_case(&root.name) && root.relationship(first).is_none()
        });
        let parents = if own { &parents[1..] } else { parents };
        if parents.len() > HOPS_MOST {
            return Err(Wrong::malformed(
                path.at,
                format!("at most {HOPS_MOST} relationships may be followed"),
            ));
        }
        let (mut at, mut hops) = (self.root, Vec::with_capacity(parents.len()));
        for parent in parents {
            let schema = &self.sight.org.objects[at].schema;
            let through = schema.relationship(parent);
            let target = through.and_then(|field| {
                field.reference_to.iter().filter_map(|name| self.sight.org.find(name)).next_back()
            });
            let (Some(through), Some(target)) = (through, target) else {
                let message = format!(
                    "Didn't understand relationship '{parent}' in field path. If you are attempting to use a \
                     custom relationship, be sure to append the '__r' after the custom relationship name. Please \
                     reference your WSDL or the describe call for the appropriate names."
                );
                return Err(Wrong::new("INVALID_FIELD", path.at, message));
            };
            hops.push((through.at, target));
            at = target;
        }
        let schema = &self.sight.org.objects[at].schema;
        let field = schema.field(name).ok_or_else(|| {
            let message = format!("No such column '{name}' on entity '{}'. {CUSTOM}", schema.name);
            Wrong::new("INVALID_FIELD", path.at, message)
        })?;
        Ok(Column { hops, field: field.clone() })
    }

    fn show(&self, nodes: &mut Vec<Node>, path: &Path) -> Result<(), Wrong> {
        let column = self.column(path)?;
        let mut nodes = nodes;
        let (mut at, first) = (self.root, path.names.len() - 1 - column.hops.len());
        for (through, target) in &column.hops {
            let field = &self.sight.org.objects[at].schema.fields[usize::from(*through)];
            let name = field.relationship.clone().unwrap_or_else(|| path.names[first].clone());
            let known = nodes
                .iter()
                .position(|node| matches!(node, Node::Parent { name: known, .. } if *known == name));
            let place = known.unwrap_or_else(|| {
                nodes.push(Node::Parent { name, through: *through, at: *target, nodes: Vec::new() });
                nodes.len() - 1
            });
            let Some(Node::Parent { nodes: inner, .. }) = nodes.get_mut(place) else { return Ok(()) };
            nodes = inner;
            at = *target;
        }
        if nodes.iter().any(|node| matches!(node, Node::Field(field) if field.at == column.field.at)) {
            let message = format!("duplicate field selected: {}", column.field.name);
            return Err(Wrong::malformed(path.at, message));
        }
        nodes.push(Node::Field(column.field));
        Ok(())
    }

    fn condition(&self, expr: Expr) -> Result<Condition, Wrong> {
        let list =
            |all: Vec<Expr>| all.into_iter().map(|one| self.condition(one)).collect::<Result<Vec<_>, _>>();
        Ok(match expr {
            Expr::And(all) => Condition::And(list(all)?),
            Expr::Or(all) => Condition::Or(list(all)?),
            Expr::Not(inner) => Condition::Not(Box::new(self.condition(*inner)?)),
            Expr::Test { path, op, literals } => self.test(&path, op, literals)?,
        })
    }

    fn test(&self, path: &Path, op: Op, literals: Vec<(Literal, usize)>) -> Result<Condition, Wrong> {
        let column = self.column(path)?;
        let field = &column.field;
        if !field.filterable || field.place == Place::Address {
            let message = format!("field '{}' can not be filtered in a query call", field.name);
            return Err(Wrong::new("INVALID_FIELD", path.at, message));
        }
        let wrong_op = |what: &str| Err(Wrong::new("INVALID_QUERY_FILTER_OPERATOR", path.at, what));
        let multi = field.kind == Kind::MultiPicklist;
        if matches!(op, Op::Includes | Op::Excludes) && !multi {
            return wrong_op("includes or excludes operator only valid on multipicklist field");
        }
        let texts = !matches!(
            field.kind,
            Kind::Boolean
                | Kind::Int
                | Kind::Double
                | Kind::Date
                | Kind::DateTime
                | Kind::Id
                | Kind::Reference
        );
        if op == Op::Like && !texts {
            return wrong_op("invalid operator on field of this type");
        }
        if let [(Literal::Days(from, to), _)] = literals.as_slice() {
            return days(column, op, self.day(*from), self.day(*to), path.at);
        }
        let mut values = Vec::with_capacity(literals.len());
        for (literal, at) in literals {
            values.push(operand(field, literal, at)?);
        }
        Ok(Condition::Test { column, op, values })
    }

    fn day(&self, days: i64) -> Date {
        date_of(self.sight.now_s).saturating_add(days.days())
    }
}

/// A test against a span of days, the last one excluded.
fn days(column: Column, op: Op, from: Date, to: Date, at: usize) -> Result<Condition, Wrong> {
    let value = |date: Date| match column.field.kind {
        Kind::DateTime => Ok(Operand::Seconds(midnight(date))),
        Kind::Date => Ok(Operand::Text(date.to_string())),
        _ => Err(wrong_type(&column.field, at)),
    };
    let test = |op, value| Condition::Test { column: column.clone(), op, values: vec![value] };
    let within = Condition::And(vec![test(Op::Ge, value(from)?), test(Op::Lt, value(to)?)]);
    Ok(match op {
        Op::Eq => within,
        Op::Ne => Condition::Not(Box::new(within)),
        Op::Lt => test(Op::Lt, value(from)?),
        Op::Le => test(Op::Lt, value(to)?),
        Op::Gt => test(Op::Ge, value(to)?),
        Op::Ge => test(Op::Ge, value(from)?),
        _ => return Err(wrong_type(&column.field, at)),
    })
}

fn operand(field: &Field, literal: Literal, at: usize) -> Result<Operand, Wrong> {
    Ok(match (field.kind, literal) {
        (_, Literal::Null) => Operand::Null,
        (Kind::Boolean, Literal::Bool(value)) => Operand::Bool(value),
        (Kind::Int | Kind::Double, Literal::Number(value)) => Operand::Number(value),
        (Kind::DateTime, Literal::Moment(value)) => Operand::Seconds(value),
        (Kind::DateTime, Literal::Date(value)) => Operand::Seconds(midnight(value)),
        (Kind::Date, Literal::Date(value)) => Operand::Text(value.to_string()),
        (Kind::Id | Kind::Reference, Literal::Text(text)) => match Id::parse(text.trim()) {
            Some(id) => Operand::Id(id),
            None if text.is_empty() => Operand::Null,
            None => {
                let message = format!("invalid ID field: {text}");
                return Err(Wrong::new("INVALID_QUERY_FILTER_OPERATOR", at, message));
            }
        },
        (
            Kind::Boolean
            | Kind::Int
            | Kind::Double
            | Kind::DateTime
            | Kind::Date
            | Kind::Id
            | Kind::Reference,
            _,
        ) => {
            return Err(wrong_type(field, at));
        }
        (_, Literal::Text(text)) if text.is_empty() => Operand::Null,
        (_, Literal::Text(text)) if field.case_sensitive => Operand::Text(text),
        (_, Literal::Text(text)) => Operand::Text(text.to_lowercase()),
        _ => return Err(wrong_type(field, at)),
    })
}

fn wrong_type(field: &Field, at: usize) -> Wrong {
    let (kind, quotes) = match field.kind {
        Kind::Boolean => ("boolean", "should not"),
        Kind::Int => ("int", "should not"),
        Kind::Double => ("double", "should not"),
        Kind::DateTime => ("dateTime", "should not"),
        Kind::Date => ("date", "should not"),
        Kind::Id | Kind::Reference => ("ID", "should"),
        _ => ("string", "should"),
    };
    let message = format!(
        "value of filter criterion for field '{}' must be of type {kind} and {quotes} be enclosed in quotes",
        field.name
    );
    Wrong::new("INVALID_FIELD", at, message)
}

impl Operand {
    /// How the vendor writes the value.
    pub(super) fn text(&self) -> String {
        match self {
            Operand::Null => String::new(),
            Operand::Bool(value) => value.to_string(),
            Operand::Number(value) => value.to_string(),
            Operand::Text(text) => text.clone(),
            Operand::Id(id) => id.to_string(),
            Operand::Seconds(at) => datetime(*at),
        }
    }
}
