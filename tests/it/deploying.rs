//! What the containers are told is what the documents say they can be told.
#![expect(clippy::unwrap_used, reason = "a test of the tree may end wherever the tree cannot be read")]

use std::collections::BTreeSet;

use regex::Regex;

fn file(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The names of our variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(ACCORD_[A-Z0-9_]+|DATABASE_URL|NATS_URL)\b").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn every_setting_of_the_documents_reaches_the_containers_and_the_other_way_round() {
    let documents = file("docs/operating.md");
    let (_, settings) = documents.split_once("## Settings").unwrap();
    let table = settings.lines().skip_while(|line| !line.starts_with('|'));
    let table: String = table.take_while(|line| line.starts_with('|')).collect();
    let mut documented = variables(&table);
    assert!(documented.remove("ACCORD_DATA_DIR"), "it is of `accord up` alone");

    let compose = file("docker-compose.yml");
    let set: String = compose.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    assert_eq!(variables(&set), documented);
    let example = variables(&file("deploy/env.example"));
    let unknown: Vec<_> = example.difference(&documented).collect();
    assert!(unknown.is_empty(), "nobody reads {unknown:?}");
}

#[test]
fn every_service_has_a_container_and_a_line_of_the_documents() {
    let help = tests::accord().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (values, _) = help.split_once("Options:").unwrap();
    let services = first_groups(r"(?m)^\s+- ([a-z-]+):", values);
    assert!(services.contains("sandbox-microsoft"), "{help}");

    let compose = file("docker-compose.yml");
    assert_eq!(first_groups(r"command: \[serve, ([a-z-]+)\]", &compose), services);
    let documents = file("docs/operating.md");
    let (_, table) = documents.split_once("| Service | Needs |").unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let names: String = rows.filter_map(|row| row.split('|').nth(1)).collect();
    assert_eq!(first_groups("`([a-z-]+)`", &names), services);
}

/// What the first group of a pattern finds in a text.
fn first_groups(pattern: &str, text: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}
