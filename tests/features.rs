//! Checks that the tests named in `docs/features.md` and `SECURITY.md` exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn each_row_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/features.md")).unwrap();
    let mut held = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 7, "{row}");
        // A heading, or a feature that Sandbucket lacks.
        if cells[0].starts_with("**") || cells[0].is_empty() || cells[6] == "–" {
            assert!(cells[1].is_empty() || cells[1] == "Sandbucket" || cells[1].starts_with("no"), "{row}");
            continue;
        }
        held.extend(named_tests(root, cells[6]));
    }
    assert!(held.len() > 30, "only {} tests are named", held.len());
}

#[test]
fn each_security_statement_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut held = BTreeSet::new();
    let mut in_table = false;
    for line in page.lines() {
        in_table = line == "| statement | held by |" || in_table && line.starts_with("| ");
        if !in_table || line.starts_with("| ---") || line.starts_with("| statement") {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 2, "{line}");
        held.extend(named_tests(root, cells[1]));
    }
    assert!(held.len() > 40, "only {} tests are named", held.len());
}

/// Parses a list such as `` `tests/e2e/blobs.rs::a_test`, `host/sandbucket/src/a.rs::another` ``, and asserts that each
/// test exists.
fn named_tests(root: &Path, list: &str) -> Vec<String> {
    let names = list.split(", ").map(|test| {
        let name = test.trim_matches('`');
        let (file, function) = name.split_once("::").unwrap_or_else(|| panic!("{test} names no test"));
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let is_test = source.contains(&format!("fn {function}(")) || source.contains(&format!("suite!({function} "));
        assert!(is_test, "{file} has no test {function}");
        name.to_owned()
    });
    names.collect()
}
