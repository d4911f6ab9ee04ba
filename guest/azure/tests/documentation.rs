//! `docs/azure.md` has every setting and every attribute.

use sandbucket_azure::{attributes, sas, settings};

#[test]
fn page_documents_settings_and_attributes() {
    let page = include_str!("../../../docs/azure.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let is_documented = |name: &str| rows.iter().any(|row| row.contains(&format!("`{name}`")));
    for setting in settings::TABLE {
        for name in setting.aliases.iter().chain([&setting.name]) {
            assert!(is_documented(name), "the setting {name}");
        }
    }
    for attribute in &attributes::TABLE {
        assert!(is_documented(attribute.name), "the attribute {}", attribute.name);
        assert!(attribute.help().contains(" Accepted by "), "{}", attribute.help());
    }
    for (_, attribute) in sas::OVERRIDES {
        assert!(is_documented(attribute), "the attribute {attribute}");
    }
}
