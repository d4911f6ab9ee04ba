//! Compares the content of a file with a blob by the blob's ETag.
//!
//! On most services the ETag is the MD5 of the blob, or, after a multipart upload, the MD5 of the parts' MD5s and their
//! number. It does not contain the part size: the sizes that common tools use are tried. Any other ETag counts as different
//! content.

use std::io::{self, Read};
use std::path::Path;

use md5::{Digest, Md5};

/// Part sizes to try: those of this command, and the defaults of other tools.
const PART_SIZES: [u64; 5] = [8 << 20, 5 << 20, 16 << 20, 15 << 20, 50 << 20];
/// Read size in bytes.
const CHUNK: usize = 1 << 20;

/// Reads the file to its end if the ETag can be compared.
pub fn has_tag(file: &Path, size: u64, etag: &str, part_size: Option<u64>) -> io::Result<bool> {
    let etag = etag.trim_matches('"').to_ascii_lowercase();
    let (sum, parts) = match etag.split_once('-') {
        Some((sum, parts)) => (sum, parts.parse::<u64>().ok()),
        None => (etag.as_str(), Some(0)),
    };
    let Some(parts) = parts.filter(|_| sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())) else {
        return Ok(false);
    };
    let part_size = match parts {
        0 => None,
        parts => match part_size.into_iter().chain(PART_SIZES).find(|part_size| size.div_ceil(*part_size) == parts) {
            None => return Ok(false),
            part_size => part_size,
        },
    };
    Ok(tag(std::fs::File::open(file)?, part_size)? == etag)
}

fn tag(mut file: impl Read, part_size: Option<u64>) -> io::Result<String> {
    let (mut whole, mut parts) = (Md5::new(), 0);
    let mut buffer = vec![0; CHUNK];
    loop {
        let (mut sum, mut left) = (Md5::new(), part_size.unwrap_or(u64::MAX));
        let mut is_end = false;
        while left > 0 && !is_end {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let length = file.read(&mut buffer[..most])?;
            sum.update(&buffer[..length]);
            left -= length as u64;
            is_end = length == 0;
        }
        let is_empty = part_size == Some(left);
        if part_size.is_none() {
            return Ok(hex(&sum.finalize()));
        }
        if !is_empty || parts == 0 {
            whole.update(sum.finalize());
            parts += 1;
        }
        if is_end {
            return Ok(format!("{}-{parts}", hex(&whole.finalize())));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_etags_match_s3() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let size: u64 = (11 << 20) + 7;
        let body: Vec<u8> = (0..size).map(|n| (n / 5) as u8).collect();
        std::fs::write(&file, &body).unwrap();
        let of = |part: &[u8]| Md5::digest(part).to_vec();
        let whole = hex(&of(&body));
        let parts = |size: usize| {
            let sums: Vec<u8> = body.chunks(size).flat_map(of).collect();
            format!("\"{}-{}\"", hex(&of(&sums)), body.chunks(size).len())
        };
        let has = |etag: &str, part_size| has_tag(&file, size, etag, part_size).unwrap();
        assert!(has(&whole, None) && has(&format!("\"{}\"", whole.to_uppercase()), None));
        assert!(has(&parts(8 << 20), None) && has(&parts(5 << 20), None));
        assert!(has(&parts(1 << 20), Some(1 << 20)) && !has(&parts(1 << 20), None));
        for other in ["", "-", "x-2", "0-0", "\"abc\"", &whole[1..], &format!("{whole}-0"), &"0".repeat(32)] {
            assert!(!has(other, None), "{other}");
        }
    }

    #[test]
    fn file_of_whole_parts_has_no_empty_last_part() {
        let (one, two) = (Md5::digest([7; 4]), Md5::digest([8; 4]));
        let both = Md5::digest([one, two].concat());
        assert_eq!(tag(&[7, 7, 7, 7, 8, 8, 8, 8][..], Some(4)).unwrap(), format!("{}-2", hex(&both)));
    }
}
