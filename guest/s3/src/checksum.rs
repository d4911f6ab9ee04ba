//! Checksums as S3 names them:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>.

use sandbucket_plugin::checksum::Algorithm;

/// The algorithms whose value S3 stores with a blob, the fastest to verify first.
pub const STORED: [Algorithm; 4] = [Algorithm::Crc64Nvme, Algorithm::Crc32c, Algorithm::Crc32, Algorithm::Sha256];

/// An algorithm's names in S3.
pub trait Names {
    /// Header that carries the value.
    fn header(self) -> &'static str;

    /// Name in `x-amz-checksum-algorithm`. None if S3 does not store it.
    fn name(self) -> Option<&'static str>;
}

impl Names for Algorithm {
    fn header(self) -> &'static str {
        match self {
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
            Algorithm::Md5 => "content-md5",
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Algorithm::Crc64Nvme => Some("CRC64NVME"),
            Algorithm::Crc32c => Some("CRC32C"),
            Algorithm::Crc32 => Some("CRC32"),
            Algorithm::Sha256 => Some("SHA256"),
            Algorithm::Md5 => None,
        }
    }
}
