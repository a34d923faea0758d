//! From words to a query's structure.

use super::lex::{Token, lex};
use super::{Expr, Item, Literal, Op, Ordering, Path, Select, Which, Wrong};
use crate::salesforce::time::parse_datetime;

const LONGEST: usize = 100_000;
/// How deep parentheses may nest.
const DEEPEST: usize = 64;

struct Parser<'a> {
    tokens: Vec<(Token, usize)>,
    next: usize,
    text: &'a str,
    depth: usize,
}

pub(super) fn parse(text: &str) -> Result<Select, Wrong> {
    if text.chars().count() > LONGEST {
        return Err(Wrong::malformed(
            0,
            format!("SOQL statements cannot be longer than {LONGEST} characters."),
        ));
    }
    let mut parser = Parser { tokens: lex(text)?, next: 0, text, depth: 0 };
    let select = parser.select()?;
    match parser.tokens.get(parser.next) {
        None => Ok(select),
        Some(_) => Err(parser.unexpected()),
    }
}

impl Parser<'_> {
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(_, at)| *at)
    }

    fn unexpected(&self) -> Wrong {
        let shown = match self.tokens.get(self.next) {
            None => "<EOF>",
            Some((Token::Word(word) | Token::Figure(word) | Token::Text(word), _)) => word,
            Some((Token::Mark(mark), _)) => mark,
        };
        Wrong::malformed(self.at(), format!("unexpected token: '{shown}'"))
    }

    fn word(&self) -> Option<&str> {
        match self.tokens.get(self.next) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(found);
        found
    }

    fn mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.tokens.get(self.next), Some((Token::Mark(known), _)) if *known == mark);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, found: bool) -> Result<(), Wrong> {
        if found { Ok(()) } else { Err(self.unexpected()) }
    }

    fn need(&mut self, keyword: &str) -> Result<(), Wrong> {
        let found = self.keyword(keyword);
        self.expect(found)
    }

    fn need_mark(&mut self, mark: &str) -> Result<(), Wrong> {
        let found = self.mark(mark);
        self.expect(found)
    }

    fn name(&mut self) -> Result<(String, usize), Wrong> {
        let at = self.at();
        let word = self.word().map(str::to_owned).ok_or_else(|| self.unexpected())?;
        self.next += 1;
        Ok((word, at))
    }

    fn path(&mut self) -> Result<Path, Wrong> {
        let (word, at) = self.name()?;
        let names: Vec<String> = word.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) || word.contains(':') {
            return Err(Wrong::malformed(at, format!("unexpected token: '{word}'")));
        }
        Ok(Path { names, at })
    }

    fn select(&mut self) -> Result<Select, Wrong> {
        self.need("SELECT")?;
        let mut items = vec![self.item()?];
        while self.mark(",") {
            items.push(self.item()?);
        }
        self.need("FROM")?;
        let from = self.name()?;
        let filter = if self.keyword("WHERE") { Some(self.either()?) } else { None };
        let mut order = Vec::new();
        if self.keyword("ORDER") {
            self.need("BY")?;
            order.push(self.ordering()?);
            while self.mark(",") {
                order.push(self.ordering()?);
            }
        }
        let limit = if self.keyword("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.keyword("OFFSET") { self.count()? } else { 0 };
        Ok(Select { items, from, filter, order, limit, offset })
    }

    fn item(&mut self) -> Result<Item, Wrong> {
        let path = self.path()?;
        if !self.mark("(") {
            return Ok(Item::Path(path));
        }
        let function = path.names.join(".").to_uppercase();
        match function.as_str() {
            "COUNT" => {
                self.need_mark(")")?;
                Ok(Item::Count)
            }
            "FIELDS" => {
                let (which, at) = self.name()?;
                let which = match which.to_uppercase().as_str() {
                    "ALL" => Which::All,
                    "STANDARD" => Which::Standard,
                    "CUSTOM" => Which::Custom,
                    _ => return Err(Wrong::malformed(at, format!("unexpected token: '{which}'"))),
                };
                self.need_mark(")")?;
                Ok(Item::Fields(which, path.at))
            }
            _ => Err(Wrong::malformed(path.at, format!("unexpected token: '{function}'"))),
        }
    }

    fn count(&mut self) -> Result<usize, Wrong> {
        let number = match self.tokens.get(self.next) {
            Some((Token::Figure(figure), _)) => figure.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected())?;
        self.next += 1;
        Ok(number)
    }

    fn ordering(&mut self) -> Result<Ordering, Wrong> {
        let path = self.path()?;
        let descending = !self.keyword("ASC") && self.keyword("DESC");
        let mut nulls_last = false;
        if self.keyword("NULLS") {
            nulls_last = self.keyword("LAST");
            if !nulls_last {
                self.need("FIRST")?;
            }
        }
        Ok(Ordering { path, descending, nulls_last })
    }

    /// Alternatives. The vendor refuses AND and OR side by side without parentheses.
    fn either(&mut self) -> Result<Expr, Wrong> {
        let first = self.negation()?;
        let mut all = vec![first];
        if self.keyword("AND") {
            all.push(self.negation()?);
            while self.keyword("AND") {
                all.push(self.negation()?);
            }
            return if self.word().is_some_and(|word| word.eq_ignore_ascii_case("OR")) {
                Err(self.unexpected())
            } else {
                Ok(Expr::And(all))
            };
        }
        while self.keyword("OR") {
            all.push(self.negation()?);
        }
        if all.len() > 1 && self.word().is_some_and(|word| word.eq_ignore_ascii_case("AND")) {
            return Err(self.unexpected());
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Or(all) })
    }

    fn negation(&mut self) -> Result<Expr, Wrong> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Wrong::malformed(self.at(), "the query is nested too deeply"));
        }
        let expr = if self.keyword("NOT") {
            Expr::Not(Box::new(self.negation()?))
        } else if self.mark("(") {
            let inner = self.either()?;
            self.need_mark(")")?;
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Expr, Wrong> {
        let path = self.path()?;
        let op = self.operator()?;
        let many = matches!(op, Op::In | Op::NotIn | Op::Includes | Op::Excludes);
        let mut literals = Vec::new();
        if many {
            self.need_mark("(")?;
            literals.push(self.literal()?);
            while self.mark(",") {
                literals.push(self.literal()?);
            }
            self.need_mark(")")?;
        } else {
            literals.push(self.literal()?);
        }
        Ok(Expr::Test { path, op, literals })
    }

    fn operator(&mut self) -> Result<Op, Wrong> {
        let marks = [
            ("=", Op::Eq),
            ("!=", Op::Ne),
            ("<>", Op::Ne),
            ("<=", Op::Le),
            (">=", Op::Ge),
            ("<", Op::Lt),
            (">", Op::Gt),
        ];
        for (mark, op) in marks {
            if self.mark(mark) {
                return Ok(op);
            }
        }
        for (word, op) in
            [("LIKE", Op::Like), ("IN", Op::In), ("INCLUDES", Op::Includes), ("EXCLUDES", Op::Excludes)]
        {
            if self.keyword(word) {
                return Ok(op);
            }
        }
        self.need("NOT")?;
        self.need("IN")?;
        Ok(Op::NotIn)
    }

    fn literal(&mut self) -> Result<(Literal, usize), Wrong> {
        let at = self.at();
        let literal = match self.tokens.get(self.next) {
            Some((Token::Text(text), _)) => Some(Literal::Text(text.clone())),
            Some((Token::Figure(figure), _)) => figure_of(figure),
            Some((Token::Word(word), _)) => match word.to_uppercase().as_str() {
                "NULL" => Some(Literal::Null),
                "TRUE" => Some(Literal::Bool(true)),
                "FALSE" => Some(Literal::Bool(false)),
                other => days(other).map(|(from, to)| Literal::Days(from, to)),
            },
            _ => None,
        };
        let literal = literal.ok_or_else(|| self.unexpected())?;
        self.next += 1;
        Ok((literal, at))
    }
}

fn figure_of(text: &str) -> Option<Literal> {
    if text.contains('T') {
        return parse_datetime(text).map(Literal::Moment);
    }
    if text.len() == 10 && text[1..].contains('-') {
        return text.parse().ok().map(Literal::Date);
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Literal::Number)
}

/// Days from today, the last one excluded.
fn days(word: &str) -> Option<(i64, i64)> {
    if let Some((name, number)) = word.split_once(':') {
        let number: i64 = number.parse().ok().filter(|number| (0..100_000).contains(number))?;
        return match name {
            "LAST_N_DAYS" => Some((-number, 1)),
            "NEXT_N_DAYS" => Some((1, number + 1)),
            "N_DAYS_AGO" => Some((-number, 1 - number)),
            _ => None,
        };
    }
    match word {
        "TODAY" => Some((0, 1)),
        "YESTERDAY" => Some((-1, 0)),
        "TOMORROW" => Some((1, 2)),
        "LAST_90_DAYS" => Some((-90, 1)),
        "NEXT_90_DAYS" => Some((1, 91)),
        _ => None,
    }
}
