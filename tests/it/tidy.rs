//! The law of the house, executed: who may import whom, who owns which dangerous dependency, and how large a file may
//! grow. `docs/architecture.md` says why.
#![expect(clippy::unwrap_used, reason = "a test of the tree may end wherever the tree cannot be read")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

/// Every crate and its floor. A crate imports from lower floors only.
const FLOORS: [(u8, &[&str]); 8] = [
    (0, &["model"]),
    (1, &["proto"]),
    (2, &["bus", "vault", "chassis"]),
    (3, &["connector"]),
    (
        4,
        &[
            "identity",
            "sync-engine",
            "audit",
            "attribution",
            "crm",
            "connector-hubspot",
            "connector-salesforce",
            "connector-google-calendar",
            "connector-m365",
            "connector-slack",
        ],
    ),
    (5, &["gateway", "web-console"]),
    (6, &["accord"]),
    (7, &["tests"]),
];

/// Rooms meet on the bus or over gRPC; only these open their doors.
const OPENERS: [&str; 2] = ["accord", "tests"];
const ROOM_FLOOR: u8 = 4;

/// Outside the floors: `sandbox` uses no crate of ours, so that it cannot agree with the connector it tests by
/// accident; `testkit` serves tests only.
const YARD: [&str; 2] = ["sandbox", "testkit"];

/// Who may use what could do harm in many hands. `tests` may use everything, as an outside tool would.
const OWNERS: [(&str, &[&str]); 10] = [
    ("async-nats", &["bus"]),
    ("reqwest", &["connector"]),
    ("aes-gcm", &["vault"]),
    ("argon2", &["identity"]),
    ("askama", &["web-console"]),
    ("clap", &["accord"]),
    ("indicatif", &["accord"]),
    ("mimalloc", &["accord"]),
    (
        "sqlx",
        &[
            "identity",
            "sync-engine",
            "audit",
            "attribution",
            "crm",
            "connector",
            "bus",
            "chassis",
            "testkit",
            "accord",
        ],
    ),
    ("jiff-sqlx", &["identity", "sync-engine", "audit", "attribution", "crm", "connector", "bus"]),
];

const MAX_LIB_LINES: usize = 60;
const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// What a crate with one vendor in it should need, in lines of its src. Unit tests are not counted here or below.
const MAX_VENDOR_LINES: usize = 1_500;

/// Parts of the tree with a budget of their own, and why it is what it is. A file counts for the longest path that it is in.
const BUDGETS: [(&str, usize, &str); 8] = [
    (
        "crates/model/src",
        3_120,
        "a language that everybody speaks is read in one sitting; a quarter of it is what the public events say, field by field",
    ),
    ("crates/chassis/src", 500, "a shell: whoever wants more in it wants a room"),
    (
        "crates/chassis/src/guard",
        450,
        "credentials, refusals and remembered answers, the same for every room",
    ),
    (
        "crates/chassis/src/local",
        1_100,
        "private PostgreSQL and NATS for `accord up` and for every test: finding, starting as root or not, keeping alive",
    ),
    (
        "crates/connector-salesforce/src",
        4_400,
        "as much again as another vendor: beside polling there are bulk queries and a gRPC stream of binary events, with an own \
         decoder for a fifth of it; writes go out in three ways; fields are added and opened to the user who connected; 300 \
         lines spell its JSON, 200 its errors",
    ),
    (
        "crates/connector-google-calendar/src",
        1_700,
        "two APIs, Calendar and Meet, each with its own listings and words for failures, and push channels",
    ),
    (
        "crates/connector-m365/src",
        2_150,
        "a fifth of it makes text of whatever HTML a mail is; beside the delta of folders, and finding what left one, it sends mail, knows what \
         machines answer and what they report of mails in any language, and has change notifications",
    ),
    (
        "crates/connector-hubspot/src",
        3_100,
        "twice a vendor's share: custom objects are found at run time, primary companies are read and written apart from \
         properties, properties are added on request, and 500 lines spell the JSON of every endpoint as HubSpot does",
    ),
];

fn house() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap()
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, crates)| crates.contains(&name)).map(|(floor, _)| *floor)
}

fn is_ours(dependency: &Dependency) -> bool {
    dependency.path.is_some()
}

/// What is wrong with an import of ours; none when it is lawful.
fn fault(package: &str, dependency: &Dependency) -> Option<&'static str> {
    let (name, for_tests) = (dependency.name.as_str(), dependency.kind == DependencyKind::Development);
    match (package, name) {
        ("tests", _) => None,
        ("sandbox", _) => Some("sandbox uses no crate of ours"),
        ("testkit", _) if floor(name).is_some_and(|floor| floor <= 2) => None,
        ("testkit", _) => Some("testkit stands on the pipes"),
        (_, "testkit") if !for_tests => Some("testkit is for tests only"),
        ("accord", "sandbox") => None,
        (_, "sandbox") if !for_tests => Some("sandbox is for tests and the demonstration only"),
        (_, "sandbox" | "testkit") => None,
        _ if floor(name) >= floor(package) => Some("imports go downward, never sideways or upward"),
        _ if floor(name) == Some(ROOM_FLOOR) && !OPENERS.contains(&package) => {
            Some("rooms meet on the bus or over gRPC, never by import")
        }
        _ => None,
    }
}

/// The Rust files of a directory, at any depth.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn folder(package: &Package) -> &Path {
    package.manifest_path.parent().unwrap().as_std_path()
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_crate_has_a_floor_and_the_name_of_its_folder() {
    let mut faults = Vec::new();
    for package in house().packages {
        let name = package.name.as_str();
        if floor(name).is_none() && !YARD.contains(&name) {
            faults.push(format!("{name} has no floor"));
        }
        if !folder(&package).ends_with(name) {
            faults.push(format!("{name} is not in a folder of its name"));
        }
    }
    none(&faults);
}

#[test]
fn imports_go_downward_and_rooms_do_not_import_each_other() {
    let mut faults = Vec::new();
    for package in house().packages {
        for dependency in package.dependencies.iter().filter(|dependency| is_ours(dependency)) {
            if let Some(fault) = fault(&package.name, dependency) {
                faults.push(format!("{} -> {}: {fault}", package.name, dependency.name));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_dangerous_dependency_stays_with_its_owner() {
    let mut faults = Vec::new();
    for package in house().packages.iter().filter(|package| package.name.as_str() != "tests") {
        for dependency in &package.dependencies {
            let Some((name, owners)) = OWNERS.iter().find(|(name, _)| dependency.name == *name) else {
                continue;
            };
            // The sandbox's own tests call it as a customer's program would.
            let as_a_customer = package.name.as_str() == "sandbox"
                && *name == "reqwest"
                && dependency.kind == DependencyKind::Development;
            // The benchmarks are tests, as an outside tool would do them, and built with the binary.
            let as_a_benchmark =
                package.name.as_str() == "accord" && dependency.kind == DependencyKind::Development;
            if !owners.contains(&package.name.as_str()) && !as_a_customer && !as_a_benchmark {
                faults.push(format!("{} uses {name}, which belongs to {}", package.name, owners.join(", ")));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_shared_dependency_says_what_it_is_for() {
    let root = house().workspace_root;
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let faults: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains("path = "))
        .filter(|line| !line.contains(" # "))
        .map(|line| format!("no comment: {line}"))
        .collect();
    none(&faults);
}

#[test]
fn dependencies_are_declared_once_for_the_whole_house() {
    let mut faults = Vec::new();
    for package in house().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let mut table = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                table = line;
            } else if table.contains("dependencies") && line.contains('=') && !line.contains("workspace") {
                faults.push(format!("{}: {line}", package.name));
            }
        }
    }
    none(&faults);
}

#[test]
fn files_keep_their_budgets_and_silence_no_lint() {
    let silenced = ["#[", "#!["].map(|opening| format!("{opening}allow("));
    let mut faults = Vec::new();
    for package in house().packages {
        for path in sources(folder(&package)) {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().count();
            let in_src = path.starts_with(folder(&package).join("src"));
            let most = if path.ends_with("src/lib.rs") { MAX_LIB_LINES } else { MAX_FILE_LINES };
            if in_src && package.name.as_str() != "tests" && lines > most {
                faults.push(format!("{} has {lines} lines, at most {most} are allowed", path.display()));
            }
            if silenced.iter().any(|attribute| text.contains(attribute.as_str())) {
                faults.push(format!("{} silences a lint; use expect with a reason", path.display()));
            }
        }
    }
    none(&faults);
}

/// The functions of a formatted file with the lines between their braces.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let words = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "];
        let named = words.iter().fold(code, |code, word| code.strip_prefix(word).unwrap_or(code));
        let Some(name) = named.strip_prefix("fn ") else { continue };
        let body = lines[at..]
            .iter()
            .position(|line| line.ends_with('{') || line.ends_with(';') || line.ends_with('}'));
        let Some(open) = body.map(|body| at + body).filter(|open| lines[*open].ends_with('{')) else {
            continue;
        };
        let end = format!("{indent}}}");
        if let Some(length) = lines[open + 1..].iter().position(|line| *line == end) {
            found.push((name.split(['(', '<']).next().unwrap_or(name).to_owned(), length));
        }
    }
    found
}

#[test]
fn functions_keep_their_budget() {
    let sample = "impl A {\n    pub async fn one(\n        &self,\n    ) -> B {\n        two();\n        three()\n    }\n}\n";
    assert_eq!(functions(sample), [("one".to_owned(), 2)]);
    let mut faults = Vec::new();
    let mut seen = 0;
    for package in house().packages {
        for path in sources(&folder(&package).join("src")) {
            for (name, lines) in functions(&fs::read_to_string(&path).unwrap()) {
                seen += 1;
                if lines > MAX_FUNCTION_LINES {
                    faults.push(format!(
                        "{}: {name} has {lines} lines, at most {MAX_FUNCTION_LINES} are allowed",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(seen > 1_000, "only {seen} functions were found");
    none(&faults);
}

/// Lines of a file before its unit tests.
fn lines_of_work(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    if path.ends_with("tests.rs") {
        return 0;
    }
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[test]
fn crates_with_a_budget_keep_it() {
    let house = house();
    let root = house.workspace_root.as_std_path();
    let mut budgets: BTreeMap<PathBuf, usize> =
        BUDGETS.iter().map(|(path, most, _)| (root.join(path), *most)).collect();
    for vendor in house.packages.iter().filter(|package| package.name.starts_with("connector-")) {
        budgets.entry(folder(vendor).join("src")).or_insert(MAX_VENDOR_LINES);
    }
    let mut used: BTreeMap<&PathBuf, usize> = BTreeMap::new();
    for package in &house.packages {
        for file in sources(&folder(package).join("src")) {
            let own = budgets
                .keys()
                .filter(|path| file.starts_with(path))
                .max_by_key(|path| path.as_os_str().len());
            if let Some(own) = own {
                *used.entry(own).or_default() += lines_of_work(&file);
            }
        }
    }
    let mut faults = Vec::new();
    for (path, most) in &budgets {
        match used.get(path) {
            Some(lines) if lines > most => {
                faults.push(format!("{} has {lines} lines, its budget is {most}", path.display()));
            }
            Some(_) => {}
            None => faults.push(format!("{} has a budget and no code", path.display())),
        }
    }
    none(&faults);
}

#[test]
fn every_crate_explains_itself_on_one_page() {
    let mut faults = BTreeMap::new();
    for package in house().packages.iter().filter(|package| package.name.as_str() != "tests") {
        let page = fs::read_to_string(folder(package).join("README.md")).unwrap_or_default();
        if page.trim().is_empty() {
            faults.insert(package.name.to_string(), "has no README.md");
        }
    }
    none(&faults.iter().map(|(name, fault)| format!("{name} {fault}")).collect::<Vec<_>>());
}
