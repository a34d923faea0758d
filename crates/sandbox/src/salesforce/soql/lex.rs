//! The words of a query.

use super::Wrong;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, a path with dots, a keyword, or a date literal with its number.
    Word(String),
    Text(String),
    /// Starts with a digit or sign: a number, a date or a moment.
    Figure(String),
    Mark(&'static str),
}

/// Splits a query into tokens with their places.
pub(super) fn lex(text: &str) -> Result<Vec<(Token, usize)>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match letter {
            _ if letter.is_whitespace() => letter.len_utf8(),
            '\'' => {
                let (word, length) = quoted(rest, at)?;
                tokens.push((Token::Text(word), at));
                length
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = span(rest, |one| one.is_ascii_alphanumeric() || "_.:".contains(one));
                tokens.push((Token::Word(rest[..length].to_owned()), at));
                length
            }
            '0'..='9' | '-' | '+' => {
                let length = span(rest, |one| one.is_ascii_alphanumeric() || ":+-.".contains(one));
                tokens.push((Token::Figure(rest[..length].to_owned()), at));
                length
            }
            _ => {
                let marks = ["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ","];
                let mark = marks.iter().find(|mark| rest.starts_with(**mark));
                let mark =
                    mark.ok_or_else(|| Wrong::malformed(at, format!("unexpected token: '{letter}'")))?;
                tokens.push((Token::Mark(mark), at));
                mark.len()
            }
        };
        at += length;
    }
    Ok(tokens)
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

/// The text between quotes, and how much of the query it takes.
fn quoted(text: &str, at: usize) -> Result<(String, usize), Wrong> {
    let mut word = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\'' => return Ok((word, place + 1)),
            '\\' => match letters.next().map(|(_, escaped)| escaped) {
                Some('n' | 'N') => word.push('\n'),
                Some('r' | 'R') => word.push('\r'),
                Some('t' | 'T') => word.push('\t'),
                Some('b' | 'B') => word.push('\u{8}'),
                Some('f' | 'F') => word.push('\u{c}'),
                Some(same @ ('\'' | '"' | '\\')) => word.push(same),
                // LIKE tells an escaped wildcard from a wildcard.
                Some(wild @ ('%' | '_')) => word.extend(['\\', wild]),
                _ => return Err(Wrong::malformed(at + place, "Illegal escape sequence in string literal")),
            },
            other => word.push(other),
        }
    }
    Err(Wrong::malformed(at, "unexpected token: '''"))
}
