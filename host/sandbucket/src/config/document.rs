//! A parsed configuration file, wiped when it is dropped.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroize;

/// A TOML document. Most text in it is borrowed from the file's; what the parser copied is wiped.
///
/// That is text with escape sequences, of which the parser may leave fragments behind as its copy grows: a secret with
/// backslashes is better written in single quotes, or kept in a file of its own.
pub(super) struct Document<'i>(pub(super) DeTable<'i>);

impl Drop for Document<'_> {
    fn drop(&mut self) {
        wipe_table(&mut self.0);
    }
}

fn wipe_table(table: &mut DeTable<'_>) {
    table.iter_mut().for_each(|(_, value)| wipe(value.get_mut()));
}

/// The parser bounds how deep values are nested: to 80 levels.
fn wipe(value: &mut DeValue<'_>) {
    match value {
        DeValue::String(Cow::Owned(text)) => text.zeroize(),
        DeValue::Array(items) => items.iter_mut().for_each(|item| wipe(item.get_mut())),
        DeValue::Table(table) => wipe_table(table),
        _ => {}
    }
}
