//! Checksums of bodies: made for what is sent, verified for what comes, after
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>.

use base64ct::{Base64, Encoding};
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::request::{Request, attributes};
use crate::response::{Garbled, Head};
use crate::settings::Settings;

/// A checksum of S3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The 64-bit one of NVM Express: S3's own choice.
    Crc64Nvme,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-32, as zip and gzip have it.
    Crc32,
    /// SHA-256.
    Sha256,
    /// MD5, in `content-md5`: for services that know no other. S3 does not keep it.
    Md5,
}

/// Those that S3 keeps with a blob, the quickest to verify first.
const KEPT: [Algorithm; 4] = [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32, Algorithm::Sha256];

impl Algorithm {
    /// The header that it goes in.
    pub const fn header(self) -> &'static str {
        match self {
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
            Algorithm::Md5 => "content-md5",
        }
    }

    /// As `x-amz-checksum-algorithm` names it, where S3 keeps it.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Algorithm::Crc64Nvme => Some("CRC64NVME"),
            Algorithm::Crc32c => Some("CRC32C"),
            Algorithm::Crc32 => Some("CRC32"),
            Algorithm::Sha256 => Some("SHA256"),
            Algorithm::Md5 => None,
        }
    }

    /// The checksum of these bytes, in base64.
    pub fn of(self, bytes: &[u8]) -> String {
        // One row of table each: the plugin is to stay small, and large bodies are for the host to sum.
        static NVME: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);
        static CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
        static ISO: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        match self {
            Algorithm::Crc64Nvme => Base64::encode_string(&NVME.checksum(bytes).to_be_bytes()),
            Algorithm::Crc32c => Base64::encode_string(&CASTAGNOLI.checksum(bytes).to_be_bytes()),
            Algorithm::Crc32 => Base64::encode_string(&ISO.checksum(bytes).to_be_bytes()),
            Algorithm::Sha256 => Base64::encode_string(&Sha256::digest(bytes)),
            Algorithm::Md5 => Base64::encode_string(&Md5::digest(bytes)),
        }
    }
}

/// Adds the body's checksum, where the store is to and the caller gave none.
pub fn add(request: &mut Request, settings: &Settings, body: &[u8]) {
    if let Some(algorithm) = settings.checksum()
        && !attributes::has_checksum(request)
    {
        request.header(algorithm.header(), algorithm.of(body));
    }
}

/// Asks for the checksum that was stored with a blob, where the store has them at all.
pub fn ask(request: &mut Request, settings: &Settings) {
    if settings.checksum().is_some_and(|algorithm| algorithm.name().is_some()) {
        request.header("x-amz-checksum-mode", "ENABLED");
    }
}

/// Holds a whole body against the checksum that came with it, if one did. That of a blob written in parts may be one of
/// its parts' checksums, which says nothing of the bytes as they are here.
///
/// # Errors
/// That they differ.
pub fn verify(head: &Head, body: &[u8]) -> Result<(), Garbled> {
    if head.get("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("COMPOSITE")) {
        return Ok(());
    }
    let told = KEPT.into_iter().find_map(|algorithm| {
        let sum = head.get(algorithm.header()).filter(|sum| !sum.contains('-'))?;
        Some((algorithm, sum))
    });
    match told {
        Some((algorithm, told)) if algorithm.of(body) != told => Err(Garbled(format!(
            "its {} of {:?} is not that of the {} bytes that came",
            algorithm.header(),
            crate::error::tidy(told, 64),
            body.len()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 5] =
        [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32, Algorithm::Sha256, Algorithm::Md5];

    /// The check values of the CRC catalogue, of "123456789", and those of `sha256sum` and `md5sum`, in base64.
    #[test]
    fn known_sums() {
        let sums = ALL.map(|algorithm| algorithm.of(b"123456789"));
        let known: [&[u8]; 3] =
            [&0xae8b_1486_0a79_9888_u64.to_be_bytes(), &0xe306_9283_u32.to_be_bytes(), &0xcbf4_3926_u32.to_be_bytes()];
        for (sum, known) in sums.iter().zip(known) {
            assert_eq!(Base64::decode_vec(sum).unwrap(), known);
        }
        assert_eq!(sums[3], "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        assert_eq!(sums[4], "JfnnlDI7RTiF9RgfG2JNCw==");
    }

    fn head(fields: &[(&str, &str)]) -> Head {
        let headers = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Head { status: 200, headers }
    }

    #[test]
    fn what_is_told_of_the_whole_is_verified() {
        for algorithm in KEPT {
            let sum = algorithm.of(b"body");
            assert_eq!(verify(&head(&[(algorithm.header(), &sum)]), b"body"), Ok(()));
            let Garbled(why) = verify(&head(&[(algorithm.header(), &sum)]), b"b0dy").unwrap_err();
            assert!(why.contains(algorithm.header()) && why.contains("4 bytes"), "{why}");
            // Of parts, told by the type or by their number.
            let parts = [(algorithm.header(), sum.as_str()), ("x-amz-checksum-type", "COMPOSITE")];
            assert_eq!(verify(&head(&parts), b"b0dy"), Ok(()));
            assert_eq!(verify(&head(&[(algorithm.header(), &format!("{sum}-2"))]), b"b0dy"), Ok(()));
        }
        assert_eq!(verify(&head(&[]), b"anything"), Ok(()));
    }
}
