//! What the containers are told is what the documents say they can be told.
#![expect(clippy::unwrap_used, reason = "a test of the tree may end wherever the tree cannot be read")]

use std::collections::BTreeSet;

fn file(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The names of our variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let name = regex::Regex::new(r"\b(ACCORD_[A-Z0-9_]+|DATABASE_URL|NATS_URL)\b").unwrap();
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
