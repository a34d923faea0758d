//! The coverage table is true: every route and behaviour has a row, every row a story that exists.

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("../../coverage.md");

/// Every story below the folder, with the modules it is in.
fn stories() -> BTreeSet<String> {
    let mut stories = BTreeSet::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")), "", &mut stories);
    stories
}

fn collect(folder: &Path, prefix: &str, stories: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the stories") {
        let path = entry.expect("an entry").path();
        let Some(module) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.is_dir() {
            collect(&path, &format!("{prefix}{module}::"), stories);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut is_test = false;
        for line in text.lines() {
            let name = line.trim().trim_start_matches("async ").strip_prefix("fn ");
            match name.and_then(|rest| rest.split_once('(')) {
                Some((name, _)) if is_test => {
                    stories.insert(format!("{prefix}{module}::{name}"));
                    is_test = false;
                }
                _ => is_test = is_test || line.starts_with("#[test]") || line.starts_with("#[tokio::test"),
            }
        }
    }
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

/// The rows of every table, routes and behaviours.
fn all_rows() -> Vec<Vec<String>> {
    let vendors = ["HubSpot", "Salesforce", "Microsoft 365", "Google", "Slack"].into_iter();
    let tables = vendors.flat_map(|vendor| [format!("{vendor}: routes"), format!("{vendor}: behaviours")]);
    tables.flat_map(|table| rows(&table)).collect()
}

#[track_caller]
fn same(heading: &str, columns: usize, routes: BTreeSet<String>) {
    let table: BTreeSet<String> = rows(heading).iter().map(|row| row[..columns].join(" ")).collect();
    let missing: Vec<_> = routes.difference(&table).collect();
    let invented: Vec<_> = table.difference(&routes).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "without a row: {missing:#?}\nwithout a route: {invented:#?}"
    );
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let hubspot = sandbox::hubspot::routes()
        .map(|(method, path, dated)| format!("{method} {path} {}", dated.unwrap_or("")));
    same("HubSpot: routes", 3, hubspot.collect());
    let salesforce = sandbox::salesforce::routes().map(|(method, path)| format!("{method} {path}"));
    same("Salesforce: routes", 2, salesforce.collect());
    let microsoft = sandbox::microsoft::routes().map(|(method, path)| format!("{method} {path}"));
    same("Microsoft 365: routes", 2, microsoft.collect());
    let google = sandbox::google::routes().map(|(method, path)| format!("{method} {path}"));
    same("Google: routes", 2, google.collect());
    let slack = sandbox::slack::routes().map(|(method, path)| format!("{method} {path}"));
    same("Slack: routes", 2, slack.collect());
}

#[test]
fn every_row_names_a_story_that_exists() {
    let stories = stories();
    for row in all_rows() {
        let story = row.last().expect("a cell");
        assert!(stories.contains(story), "{row:?} names a story that does not exist");
    }
}

#[test]
fn every_story_about_the_vendor_has_a_row() {
    let rows: BTreeSet<String> = all_rows().into_iter().filter_map(|row| row.last().cloned()).collect();
    let left: Vec<_> = stories()
        .into_iter()
        .filter(|story| !story.starts_with("coverage::") && !rows.contains(story))
        .collect();
    assert!(left.is_empty(), "stories without a row: {left:#?}");
}
