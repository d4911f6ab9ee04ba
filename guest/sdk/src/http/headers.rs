//! Header fields, and their text form in the contract.

use std::borrow::Cow;

use crate::rt::text_builder::TextBuilder;

/// Header fields or query parameters: names and values.
pub type Headers = Vec<(Cow<'static, str>, String)>;

/// Whether the value is 1 to `longest` characters of visible ASCII and spaces.
pub fn is_visible(value: &str, longest: usize) -> bool {
    (1..=longest).contains(&value.len()) && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Converts a header's value to text. Bytes that are not UTF-8 are replaced.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Formats `host`, the fields and `last` (names and values) as lines, as `request.headers` in `wit/sans-io.wit`.
pub(crate) fn to_lines(host: &str, headers: &Headers, last: &[[&str; 2]]) -> String {
    let length = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    let mut lines = TextBuilder::with_capacity(length + host.len() + 96);
    lines.push(&["host:", host, "\n"]);
    for (name, value) in headers {
        lines.push(&[name, ":", value, "\n"]);
    }
    for [name, value] in last {
        lines.push(&[name, ":", value, "\n"]);
    }
    lines.into_string()
}

/// Parses lines as in `response.headers` in `wit/sans-io.wit`. A line without a colon becomes part of the next field's name.
pub fn parse_lines(mut lines: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut headers = Vec::with_capacity(16);
    while let Some((name, rest)) = lines.split_once(':') {
        let (value, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        headers.push((name.into(), value.into()));
        lines = rest;
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lines_round_trip() {
        let pair = |name: &'static str, value: &'static str| (name.into(), value.into());
        let headers: Headers =
            vec![("etag".into(), "\"e\"".into()), ("a".into(), "".into()), ("x-b".into(), " c:d".into())];
        let lines = to_lines("h:1", &headers[..2].to_vec(), &[["x-b", " c:d"]]);
        assert_eq!(lines, "host:h:1\netag:\"e\"\na:\nx-b: c:d\n");
        assert_eq!(
            parse_lines(&lines),
            [pair("host", "h:1"), pair("etag", "\"e\""), pair("a", ""), pair("x-b", " c:d")]
        );
        assert_eq!(parse_lines(""), []);
        assert_eq!(parse_lines("no field\na:b"), [pair("no field\na", "b")]);
        assert_eq!(parse_lines("a:b\nno field"), [pair("a", "b")]);
    }
}
