//! The sections of stores: `[store.blob.NAME]`.

use toml::de::DeTable;

use super::reader::Reader;
use crate::error::Result;
use crate::text::shown;

/// The path of the table with a section for each store.
pub(crate) const STORES: [&str; 2] = ["store", "blob"];

/// The default store, if it exists.
pub(crate) const DEFAULT_STORE: &str = "s3";

/// Names shown in an error.
const MAX_SHOWN: usize = 8;

/// The name of a store's section, for errors. `prefix` is prepended.
pub(crate) fn section_name(prefix: &str, store: &str) -> String {
    format!("{prefix}{}.{}", STORES.join("."), shown(store))
}

/// Names of a table's stores, sorted.
pub(crate) fn names(reader: &Reader<'_>, table: &mut DeTable<'_>, prefix: &str) -> Result<Vec<String>> {
    let stores = reader.section(table, &STORES, &format!("{prefix}{}", STORES.join(".")))?;
    let stores = stores.into_iter().flat_map(|stores| stores.iter()).filter(|(_, value)| value.get_ref().is_table());
    let mut names: Vec<String> = stores.map(|(name, _)| name.get_ref().clone().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Names for an error.
pub(crate) fn listed(names: &[String]) -> String {
    let mut list = names.iter().take(MAX_SHOWN).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_SHOWN {
        list.push_str(", …");
    }
    list
}
