//! Samples of the demo: real files, so that the demo shows realistic results.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::Source;
use crate::text;

/// A blob to store.
pub struct Sample {
    pub key: String,
    pub body: Bytes,
    pub media_type: Option<&'static str>,
}

/// More of the command's own binary would show nothing new.
const MAX_COMMAND: usize = 6 << 20;
/// Slightly more than the host reads at once, so that a read takes two requests.
const GENERATED: usize = (8 << 20) + 4321;
/// Spaces, a plus, a percent sign, empty and dot segments, non-ASCII letters: S3 accepts all of them.
pub const ODD_KEY: &str = "odd keys/a+b %41 ~/./..//naïve 🪣.txt";

/// Parts of this project, this command, a large generated file, and the user's files.
pub async fn gather(files: &[PathBuf], most: usize) -> Result<Vec<Sample>, Failure> {
    let own = |key: &str, body: &'static [u8], media_type| Sample {
        key: key.to_owned(),
        body: Bytes::from_static(body),
        media_type: Some(media_type),
    };
    let mut samples = vec![
        own("README.md", include_bytes!("../../samples/README.md"), "text/markdown"),
        own("contract/types.wit", include_bytes!("../../samples/types.wit"), "text/plain"),
        own("Cargo.lock", include_bytes!("../../samples/Cargo.lock"), "application/toml"),
        own(ODD_KEY, b"Any key that S3 takes goes out right and comes back.\n", "text/plain"),
        Sample { key: "empty".to_owned(), body: Bytes::new(), media_type: None },
        Sample { key: "bin/sandbucket".to_owned(), body: this_command()?, media_type: None },
        Sample { key: "numbers.bin".to_owned(), body: numbers(GENERATED), media_type: None },
    ];
    for file in files {
        let body = read(file, most).await?;
        let name = file.file_name().map_or_else(|| "stdin".into(), |name| name.to_string_lossy());
        samples.push(Sample { key: format!("yours/{name}"), body, media_type: text::media_type(file) });
    }
    Ok(samples)
}

/// Reads a file or standard input, up to the maximum size.
async fn read(file: &Path, most: usize) -> Result<Bytes, Failure> {
    let mut source = Source::open(file).await?;
    let mut body = BytesMut::new();
    // One byte more than allowed, to detect larger input.
    while body.len() <= most {
        body.reserve((64 << 10).min(most + 1 - body.len()));
        if source.read(&mut body).await? == 0 {
            break;
        }
    }
    if body.len() > most {
        let (name, most) = (file.display(), text::size(most as u64));
        return Err(Failure::new(Exit::Failure, format!("{name} is longer than the {most} that the demo stores")));
    }
    Ok(body.freeze())
}

fn this_command() -> Result<Bytes, Failure> {
    let read = std::env::current_exe().and_then(std::fs::read);
    let mut body = read.map_err(|e| Failure::new(Exit::Failure, format!("reading this command's own file: {e}")))?;
    body.truncate(MAX_COMMAND);
    Ok(body.into())
}

/// Bytes without a pattern that could hide a wrong read (splitmix64).
fn numbers(length: usize) -> Bytes {
    let mut state = 2026_u64;
    let mut body = Vec::with_capacity(length + 8);
    while body.len() < length {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        body.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    body.truncate(length);
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn users_file_is_read_whole_or_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(read(file.path(), 5).await.unwrap(), "12345");
        let failure = read(file.path(), 4).await.unwrap_err();
        assert!(failure.message.contains("longer than the 4 B"), "{}", failure.message);
    }
}
