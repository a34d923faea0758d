//! A strict reader of our own pages: what is not closed, labelled or allowed is found.

use std::collections::BTreeSet;

#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// Names of the elements around it.
    pub inside: Vec<String>,
    /// The text inside, of all depths; empty for void elements.
    pub text: String,
}

impl Tag {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

const VOID: &[&str] = &["meta", "link", "input", "br", "hr", "img"];

/// All elements in the order of the document.
///
/// # Errors
/// What is not well-formed.
pub(crate) fn read(html: &str) -> Result<Vec<Tag>, String> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut rest = html.strip_prefix("<!doctype html>").ok_or("no doctype")?;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        for &index in &open {
            tags[index].text.push_str(text);
        }
        let end = rest[at..].find('>').ok_or("a tag without an end")? + at;
        let inner = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            let index = open.pop().ok_or(format!("</{name}> closes nothing"))?;
            if tags[index].name != name {
                return Err(format!("</{name}> closes <{}>", tags[index].name));
            }
            continue;
        }
        let (inner, is_closed) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
        let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let inside = open.iter().map(|&index| tags[index].name.clone()).collect();
        let attributes = attributes_of(attributes).map_err(|error| format!("{error} in <{inner}>"))?;
        tags.push(Tag { name: name.to_owned(), attributes, inside, text: String::new() });
        if !is_closed && !VOID.contains(&name) {
            open.push(tags.len() - 1);
        }
    }
    match open.last() {
        Some(&index) => Err(format!("<{}> is never closed", tags[index].name)),
        None => Ok(tags),
    }
}

fn attributes_of(mut rest: &str) -> Result<Vec<(String, String)>, String> {
    let mut attributes = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(attributes);
        }
        let end = rest.find([' ', '=', '\n']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix("=\"") {
            let end = after.find('"').ok_or("a value without an end")?;
            after[..end].clone_into(&mut value);
            rest = &after[end + 1..];
        } else if rest.starts_with('=') {
            return Err("a value without quotes".to_owned());
        }
        if !seen.insert(name.clone()) {
            return Err(format!("{name} comes twice"));
        }
        attributes.push((name, value));
    }
}
