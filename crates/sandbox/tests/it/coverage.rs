//! The coverage table is true: every route and behaviour has a row, every row a story that exists.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("../../coverage.md");

fn stories() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let mut stories = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the stories") {
        let path = entry.expect("an entry").path();
        let Some(module) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut is_test = false;
        for line in text.lines() {
            let name = line.trim().trim_start_matches("async ").strip_prefix("fn ");
            match name.and_then(|rest| rest.split_once('(')) {
                Some((name, _)) if is_test => {
                    stories.insert(format!("{module}::{name}"));
                    is_test = false;
                }
                _ => is_test = is_test || line.starts_with("#[test]") || line.starts_with("#[tokio::test]"),
            }
        }
    }
    stories
}

/// Rows of the table under a heading, cells without the backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let section = TABLE.split("\n## ").find(|section| section.starts_with(heading)).expect("the section");
    section
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|--"))
        .skip(1)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let table: BTreeSet<String> = rows("Routes").iter().map(|row| row[..3].join(" ")).collect();
    let routes: BTreeSet<String> = sandbox::hubspot::routes()
        .map(|(method, path, dated)| format!("{method} {path} {}", dated.unwrap_or("")))
        .collect();
    let missing: Vec<_> = routes.difference(&table).collect();
    let invented: Vec<_> = table.difference(&routes).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "without a row: {missing:#?}\nwithout a route: {invented:#?}"
    );
}

#[test]
fn every_row_names_a_story_that_exists() {
    let stories = stories();
    for row in rows("Routes").into_iter().chain(rows("Behaviours")) {
        let story = row.last().expect("a cell");
        assert!(stories.contains(story), "{row:?} names a story that does not exist");
    }
}

#[test]
fn every_story_about_the_vendor_has_a_row() {
    let rows: BTreeSet<String> =
        rows("Routes").into_iter().chain(rows("Behaviours")).filter_map(|row| row.last().cloned()).collect();
    let left: Vec<_> = stories()
        .into_iter()
        .filter(|story| !story.starts_with("coverage::") && !rows.contains(story))
        .collect();
    assert!(left.is_empty(), "stories without a row: {left:#?}");
}
