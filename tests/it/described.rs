//! What the API's description lists is what the rooms know.
#![expect(clippy::unwrap_used, reason = "a test of the tree may end wherever the tree cannot be read")]

use regex::Regex;
use serde_json::Value;

fn file(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The names of an enumeration of the sync-engine.
fn known(module: &str, enumeration: &str) -> Vec<String> {
    let source = file(&format!("crates/sync-engine/src/domain/{module}.rs"));
    let begin = Regex::new(&format!(r"named! \{{(?:\s*///[^\n]*)*\s*{enumeration} \{{")).unwrap();
    let rest = &source[begin.find(&source).expect(enumeration).end()..];
    let (body, _) = rest.split_once("\n    }").unwrap();
    let name = Regex::new(r#"= "([a-z_]+)","#).unwrap();
    name.captures_iter(body).map(|found| found[1].to_owned()).collect()
}

#[test]
fn each_enumeration_of_the_description_has_every_name() {
    let description: Value = serde_json::from_str(&file("crates/gateway/openapi.json")).unwrap();
    for (module, enumeration, schema, property) in [
        ("plan", "PlanState", "Plan", "state"),
        ("plan", "Category", "PlanCategory", "name"),
        ("mapping", "MappingState", "Mapping", "state"),
        ("mapping", "Direction", "Mapping", "direction"),
        ("mapping", "Policy", "Mapping", "default_policy"),
        ("mapping", "FieldState", "FieldMapping", "state"),
        ("rule", "Blank", "FieldMapping", "blank_rule"),
        ("rule", "DeletePolicy", "Mapping", "delete_policy"),
        ("filter", "Operator", "Filter", "conditions"),
        ("change", "Reason", "FieldChange", "reason"),
        ("change", "What", "Difference", "what"),
        ("lineage", "Kind", "LineageStep", "kind"),
        ("undo", "Stays", "UndoSample", "action"),
    ] {
        let property = &description["components"]["schemas"][schema]["properties"][property];
        let said = property["description"].as_str().unwrap_or_else(|| panic!("{schema}: {property}"));
        let names = known(module, enumeration);
        assert!(names.len() > 1, "{enumeration}: {names:?}");
        let missing: Vec<_> = names.iter().filter(|name| !said.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{schema} lacks {missing:?}: {said}");
    }
}
