//! The body of a write: its bytes, or its length and the digests that the caller has computed.

use std::borrow::Cow;

use crate::checksum::{Algorithm, base64};
use crate::contract::error::{Error, Failure};
use crate::contract::model::Digest;
use crate::http::response::MalformedResponse;

/// A body, in memory or remote.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    bytes: Option<&'a [u8]>,
    length: u64,
    digests: &'a [Digest],
}

impl<'a> Content<'a> {
    /// A body in memory. The given digests are not computed again.
    pub fn buffered(bytes: &'a [u8], digests: &'a [Digest]) -> Result<Self, Failure> {
        check(digests)?;
        Ok(Content { bytes: Some(bytes), length: bytes.len() as u64, digests })
    }

    /// A body that the driver sends past the plugin. `wanted` are the digests that the store sends.
    ///
    /// # Errors
    /// A fault of `digests` if one the store sends is missing.
    pub fn remote(
        length: u64,
        digests: &'a [Digest],
        wanted: impl IntoIterator<Item = Algorithm>,
    ) -> Result<Self, Failure> {
        check(digests)?;
        let content = Content { bytes: None, length, digests };
        for algorithm in wanted {
            if length > 0 && content.digest(algorithm).is_none() {
                let name = algorithm.word();
                return Err(Error::fault(
                    "digests",
                    format!(
                        "this store's writes go out with the {name} of their bodies: it must be given with the write"
                    ),
                ));
            }
        }
        Ok(content)
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The given digest, or else the one computed of the bytes. None if the body is remote and the digest is not given.
    pub fn digest(&self, algorithm: Algorithm) -> Option<Cow<'a, [u8]>> {
        match self.digests.iter().find(|digest| digest.algorithm == algorithm) {
            Some(given) => Some(Cow::Borrowed(&given.value)),
            None if self.length == 0 => Some(Cow::Owned(algorithm.digest(&[]))),
            None => Some(Cow::Owned(algorithm.digest(self.bytes?))),
        }
    }
}

/// Verifies a body against its digest.
///
/// # Errors
/// If they differ.
pub fn verify(digest: &Digest, body: &[u8]) -> Result<(), MalformedResponse> {
    let Digest { algorithm, value } = digest;
    if algorithm.digest(body) == *value {
        return Ok(());
    }
    Err(MalformedResponse(format!(
        "its {} of \"{}\" is not that of the {} bytes that came",
        algorithm.word(),
        base64(value),
        body.len()
    )))
}

fn check(digests: &[Digest]) -> Result<(), Failure> {
    for (n, digest) in digests.iter().enumerate() {
        let name = digest.algorithm.word();
        if digest.value.len() != digest.algorithm.length() {
            let why = format!("a digest of {name} has {} bytes, not {}", digest.algorithm.length(), digest.value.len());
            return Err(Error::fault("digests", why));
        }
        if digests[..n].iter().any(|before| before.algorithm == digest.algorithm) {
            return Err(Error::fault("digests", format!("the {name} is given twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_digest_is_not_computed_again() {
        let given = [Digest { algorithm: Algorithm::Sha256, value: vec![7; 32] }];
        let content = Content::buffered(b"body", &given).unwrap();
        assert_eq!(content.digest(Algorithm::Sha256).unwrap(), &[7; 32][..]);
        assert_eq!(content.digest(Algorithm::Md5).unwrap(), Algorithm::Md5.digest(b"body"));
    }

    #[test]
    fn remote_body_needs_the_digests_the_store_sends() {
        let given = [Digest { algorithm: Algorithm::Sha256, value: vec![7; 32] }];
        let (signed, checked) = ([Algorithm::Sha256], [Algorithm::Sha256, Algorithm::Crc32c]);
        assert!(Content::remote(4, &[], signed).unwrap_err().message.contains("sha256"));
        assert!(Content::remote(4, &given, checked).unwrap_err().message.contains("crc32c"));
        let content = Content::remote(4, &given, signed).unwrap();
        assert_eq!(content.length(), 4);
        assert!(content.digest(Algorithm::Md5).is_none());
        // Digests of an empty body are computed.
        let empty = Content::remote(0, &[], checked).unwrap();
        assert_eq!(empty.digest(Algorithm::Crc32c).unwrap(), &[0; 4][..]);
        assert!(Content::remote(4, &[], []).is_ok());
    }

    #[test]
    fn digest_of_wrong_length_or_given_twice_is_rejected() {
        let digest = |length| Digest { algorithm: Algorithm::Md5, value: vec![0; length] };
        assert!(Content::buffered(b"", &[digest(15)]).is_err());
        assert!(Content::buffered(b"", &[digest(16)]).is_ok());
        assert!(Content::buffered(b"", &[digest(16), digest(16)]).is_err());
    }
}
