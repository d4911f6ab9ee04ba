//! Digests and checksums of bodies, and base64.

use base64ct::{Base64, Encoding};
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};
use md5::Md5;
use sha2::{Digest, Sha256};

pub use crate::contract::model::Algorithm;

impl Algorithm {
    /// Name in the contract's `digest-algorithm`.
    pub const fn word(self) -> &'static str {
        match self {
            Algorithm::Crc64Nvme => "crc64nvme",
            Algorithm::Crc32c => "crc32c",
            Algorithm::Crc32 => "crc32",
            Algorithm::Sha256 => "sha256",
            Algorithm::Md5 => "md5",
        }
    }

    /// Length of the value in bytes.
    pub const fn length(self) -> usize {
        match self {
            Algorithm::Crc32c | Algorithm::Crc32 => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Md5 => 16,
            Algorithm::Sha256 => 32,
        }
    }

    /// Computes the value for the bytes.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        // Tables of one row: hosts compute the digests of large bodies outside the plugin.
        static NVME: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);
        static CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
        static ISO: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
        match self {
            Algorithm::Crc64Nvme => NVME.checksum(bytes).to_be_bytes().to_vec(),
            Algorithm::Crc32c => CASTAGNOLI.checksum(bytes).to_be_bytes().to_vec(),
            Algorithm::Crc32 => ISO.checksum(bytes).to_be_bytes().to_vec(),
            Algorithm::Sha256 => Sha256::digest(bytes).to_vec(),
            Algorithm::Md5 => Md5::digest(bytes).to_vec(),
        }
    }
}

/// Encodes a value for a header.
pub fn base64(sum: &[u8]) -> String {
    Base64::encode_string(sum)
}

/// Decodes the value of a header. None if it is not base64.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 5] =
        [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32, Algorithm::Sha256, Algorithm::Md5];

    /// Check values of the CRC catalogue for "123456789", and values of `sha256sum` and `md5sum` in base64.
    #[test]
    fn digests_match_known_values() {
        let sums = ALL.map(|algorithm| algorithm.digest(b"123456789"));
        assert!(ALL.iter().zip(&sums).all(|(algorithm, sum)| sum.len() == algorithm.length()));
        let known: [&[u8]; 3] =
            [&0xae8b_1486_0a79_9888_u64.to_be_bytes(), &0xe306_9283_u32.to_be_bytes(), &0xcbf4_3926_u32.to_be_bytes()];
        for (sum, known) in sums.iter().zip(known) {
            assert_eq!(sum, known);
        }
        assert_eq!(base64(&sums[3]), "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        assert_eq!(base64(&sums[4]), "JfnnlDI7RTiF9RgfG2JNCw==");
    }
}
