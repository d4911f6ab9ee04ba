//! `docs/features.md` names a test for each thing that it claims: they must be there.

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
        // A heading, or what we do not have.
        if cells[0].starts_with("**") || cells[0].is_empty() || cells[6] == "–" {
            assert!(cells[1].is_empty() || cells[1] == "Sandbucket" || cells[1].starts_with("no"), "{row}");
            continue;
        }
        for test in cells[6].split(", ") {
            let name = test.trim_matches('`');
            let (file, function) = name.split_once("::").unwrap_or_else(|| panic!("{test} names no test"));
            let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let is_test =
                source.contains(&format!("fn {function}(")) || source.contains(&format!("suite!({function} "));
            assert!(is_test, "{file} has no test {function}");
            held.insert(name.to_owned());
        }
    }
    assert!(held.len() > 30, "only {} tests are named", held.len());
}
