//! Continuations of listings: the position after a page, as an opaque text that the caller passes to the next call.

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::http::bounds::MAX_TOKEN;
use sandbucket_plugin::http::response::decimal;

/// Formats the service's marker for the caller.
pub fn write(marker: &str) -> String {
    format!("m{marker}")
}

/// Parses the caller's text to the service's marker.
///
/// # Errors
/// A fault of `continuation`.
pub fn read(text: &str) -> Result<&str, Failure> {
    text.strip_prefix('m').filter(|marker| (1..=MAX_TOKEN).contains(&marker.len())).ok_or_else(invalid)
}

/// Formats the last part number of a page.
pub fn write_part(number: u32) -> String {
    format!("p{number}")
}

/// Parses the caller's text to the last part number of the page before.
///
/// # Errors
/// A fault of `continuation`.
pub fn read_part(text: &str) -> Result<u32, Failure> {
    text.strip_prefix('p').and_then(decimal).and_then(|number| u32::try_from(number).ok()).ok_or_else(invalid)
}

/// A position in a list of uploads: within the blobs of a page, and within the uploads to one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPosition {
    /// The service's marker of the page. Default: the first page.
    pub marker: Option<String>,
    /// The last upload of the page before: its key, and its id.
    pub after: Option<(String, String)>,
}

/// Formats a position in a list of uploads.
pub fn write_upload(position: &UploadPosition) -> Option<String> {
    let UploadPosition { marker, after } = position;
    match after {
        // The lengths tell where key and marker begin.
        Some((key, id)) => {
            Some(format!("u{}:{}:{id}{key}{}", id.len(), key.len(), marker.as_deref().unwrap_or_default()))
        }
        None => marker.as_deref().map(write),
    }
}

/// Parses the caller's text to a position in a list of uploads.
///
/// # Errors
/// A fault of `continuation`. The id may be of no upload.
pub fn read_upload(text: &str) -> Result<UploadPosition, Failure> {
    let Some(text) = text.strip_prefix('u') else {
        return Ok(UploadPosition { marker: Some(read(text)?.to_owned()), after: None });
    };
    let parse = || {
        let (id_length, rest) = text.split_once(':')?;
        let (key_length, rest) = rest.split_once(':')?;
        let length = |digits| decimal(digits).and_then(|length| usize::try_from(length).ok());
        let (id, rest) = rest.split_at_checked(length(id_length)?)?;
        let (key, marker) = rest.split_at_checked(length(key_length)?)?;
        let is_bounded = [id, key, marker].iter().all(|text| text.len() <= MAX_TOKEN);
        let marker = Some(marker).filter(|marker| !marker.is_empty()).map(str::to_owned);
        is_bounded.then(|| UploadPosition { marker, after: Some((key.to_owned(), id.to_owned())) })
    };
    parse().ok_or_else(invalid)
}

/// The fault of a text that is no continuation.
pub fn invalid() -> Failure {
    Error::fault("continuation", "this continuation is of no page of this store: begin again without it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(marker: Option<&str>, key: &str) -> UploadPosition {
        UploadPosition { marker: marker.map(str::to_owned), after: Some((key.to_owned(), "id".into())) }
    }

    #[test]
    fn positions_in_a_list_of_uploads_round_trip() {
        for position in [
            position(None, "k"),
            // The blob whose name is the prefix.
            position(None, ""),
            position(Some("2!8!x="), "a:1:b"),
            position(Some("m"), &"é".repeat(1024)),
            UploadPosition { marker: Some("m".into()), after: None },
        ] {
            assert_eq!(read_upload(&write_upload(&position).unwrap()).unwrap(), position);
        }
        assert_eq!(write_upload(&UploadPosition::default()), None);
    }

    #[test]
    fn invalid_position_in_a_list_of_uploads_is_rejected() {
        let whole = write_upload(&position(Some("m"), "é")).unwrap();
        let lengths = &whole[..whole.find("é").unwrap()];
        let long = [position(Some(&"x".repeat(MAX_TOKEN + 1)), "k"), position(None, &"k".repeat(MAX_TOKEN + 1))];
        let [long, longer] = long.map(|position| write_upload(&position).unwrap());
        for text in [
            "",
            "u",
            "m",
            "p1",
            "u1:1:",
            "u9999:1:x",
            "u2:2:idk",
            "u-1:1:k",
            lengths,
            &whole.replace(":2:", ":1:"),
            &long,
            &longer,
        ] {
            assert_eq!(read_upload(text).unwrap_err().subject.as_deref(), Some("continuation"), "{text}");
        }
    }

    #[test]
    fn continuations_round_trip() {
        assert_eq!(read(&write("2!76!MDAw--")).unwrap(), "2!76!MDAw--");
        assert_eq!(read_part(&write_part(50_000)).unwrap(), 50_000);
    }

    #[test]
    fn invalid_continuation_is_rejected() {
        for text in ["", "m", "x", "ü", &format!("m{}", "x".repeat(MAX_TOKEN + 1))] {
            assert_eq!(read(text).unwrap_err().subject.as_deref(), Some("continuation"));
        }
        for text in ["", "p", "p-1", "m1", "p4294967296"] {
            assert_eq!(read_part(text).unwrap_err().subject.as_deref(), Some("continuation"));
        }
    }
}
