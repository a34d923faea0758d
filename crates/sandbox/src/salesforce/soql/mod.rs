//! SOQL: read, bound to the org's fields, and run.

mod bind;
mod bounds;
mod lex;
mod parse;
mod run;

pub(crate) use bind::Query;

use super::errors::Failure;
use super::org::Org;

/// What a query may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) org: &'a Org,
    /// Objects that the user may not see.
    pub(crate) hidden: &'a [String],
    pub(crate) now_s: i64,
}

/// Reads a query and binds it.
pub(crate) fn prepare(text: &str, sight: Sight<'_>) -> Result<Query, Failure> {
    let select = parse::parse(text).map_err(|error| error.failure(text))?;
    bind::bind(select, sight).map_err(|error| error.failure(text))
}

/// What is wrong with a query, and where.
#[derive(Debug)]
struct Wrong {
    code: &'static str,
    message: String,
    /// Byte position in the query.
    at: usize,
}

impl Wrong {
    fn new(code: &'static str, at: usize, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at }
    }

    fn malformed(at: usize, message: impl Into<String>) -> Self {
        Self::new("MALFORMED_QUERY", at, message)
    }

    /// The vendor's words: the line, a caret below the place, row and column.
    fn failure(&self, text: &str) -> Failure {
        let before = text.get(..self.at).unwrap_or(text);
        let row = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        let line = text.lines().nth(row - 1).unwrap_or_default();
        let blanks = " ".repeat(column);
        let column = column + 1;
        let message = format!("\n{line}\n{blanks}^\nERROR at Row:{row}:Column:{column}\n{}", self.message);
        Failure::bad(self.code, message)
    }
}

/// A path of names with its place in the query.
#[derive(Debug, Clone)]
struct Path {
    names: Vec<String>,
    at: usize,
}

#[derive(Debug)]
enum Item {
    Path(Path),
    /// `FIELDS(ALL)` and its siblings.
    Fields(Which, usize),
    /// `COUNT()`
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Standard,
    Custom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Like,
    In,
    NotIn,
    Includes,
    Excludes,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Moment(i64),
    Date(jiff::civil::Date),
    /// Days from today: the first one and the one after the last.
    Days(i64, i64),
}

#[derive(Debug)]
enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Test { path: Path, op: Op, literals: Vec<(Literal, usize)> },
}

#[derive(Debug)]
struct Ordering {
    path: Path,
    descending: bool,
    nulls_last: bool,
}

#[derive(Debug)]
struct Select {
    items: Vec<Item>,
    from: (String, usize),
    filter: Option<Expr>,
    order: Vec<Ordering>,
    limit: Option<usize>,
    offset: usize,
}
