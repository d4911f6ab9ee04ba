//! A parsed configuration file, wiped on drop.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroize;

/// A TOML document. Most of its text borrows from the file's content; the parser's copies are wiped.
///
/// The parser copies text with escape sequences, and may leave fragments behind as its copy grows: write a secret with
/// backslashes in single quotes, or keep it in a file of its own.
pub(crate) struct Document<'i>(pub(crate) DeTable<'i>);

impl Drop for Document<'_> {
    fn drop(&mut self) {
        wipe_table(&mut self.0);
    }
}

pub(crate) fn wipe_table(table: &mut DeTable<'_>) {
    table.iter_mut().for_each(|(_, value)| wipe(value.get_mut()));
}

/// The parser limits nesting to 80 levels.
fn wipe(value: &mut DeValue<'_>) {
    match value {
        DeValue::String(Cow::Owned(text)) => text.zeroize(),
        DeValue::Array(items) => items.iter_mut().for_each(|item| wipe(item.get_mut())),
        DeValue::Table(table) => wipe_table(table),
        _ => {}
    }
}
