//! Digests and checksums of bodies.

/// A digest or checksum algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestAlgorithm {
    Sha256,
    Md5,
    /// CRC-32/ISO-HDLC.
    Crc32,
    /// CRC-32C/iSCSI.
    Crc32c,
    /// CRC-64/NVME.
    Crc64nvme,
}

/// A digest of a body. That of a CRC is big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) algorithm: DigestAlgorithm,
    pub(crate) value: Vec<u8>,
}
