//! Textual input, for which seeds are written by hand.

/// The input as text; bytes that are not UTF-8 are replaced.
pub fn of(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// The text before and after the first blank line.
pub fn head_and_body(data: &[u8]) -> (String, &[u8]) {
    match data.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (of(&data[..end]), &data[end + 2..]),
        None => (of(data), &[]),
    }
}

/// A `name=value` pair per line.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A number for each word that is one.
pub fn numbers(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.split([' ', '-', ',', '/']).filter_map(|word| word.parse().ok())
}
