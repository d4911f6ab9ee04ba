//! Digests of bodies, computed natively with the processor's instructions: in the sandbox they take many times as long.

mod batch;
mod pool;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::types::body::Chunks;
use crate::types::digest::{Digest, DigestAlgorithm};

pub(crate) use batch::Batcher;

/// Minimum length in bytes for hashing on the thread pool: about a millisecond of work. Below, the handover costs more than
/// it saves.
const POOL_FROM: u64 = 2 << 20;

/// Minimum length in bytes for batching a SHA-256 with others: below, batching takes longer than hashing.
const BATCH_FROM: u64 = 16 << 10;

/// The digest of a body that is hashed chunk by chunk.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Md5(Md5),
    Crc(Box<crc_fast::Digest>, usize),
}

impl Hasher {
    pub(crate) fn new(algorithm: DigestAlgorithm) -> Hasher {
        let crc = |algorithm, length| Hasher::Crc(Box::new(crc_fast::Digest::new(algorithm)), length);
        match algorithm {
            DigestAlgorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            DigestAlgorithm::Md5 => Hasher::Md5(Md5::new()),
            DigestAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            DigestAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi, 4),
            DigestAlgorithm::Crc64nvme => crc(CrcAlgorithm::Crc64Nvme, 8),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(sum) => sum.update(bytes),
            Hasher::Md5(sum) => sum.update(bytes),
            Hasher::Crc(sum, _) => sum.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Sha256(sum) => sum.finalize().to_vec(),
            Hasher::Md5(sum) => sum.finalize().to_vec(),
            Hasher::Crc(sum, length) => sum.finalize().to_be_bytes()[8 - length..].to_vec(),
        }
    }
}

/// Computes digests of a body. The SHA-256 is batched with those of other bodies, unless none are waiting and the caller
/// expects none.
pub(crate) async fn of(body: &Chunks, algorithms: &[DigestAlgorithm], batcher: &Batcher, alone: bool) -> Vec<Digest> {
    let mut left = algorithms.to_vec();
    let mut digests = Vec::new();
    // The cheapest conditions come first: most writes need no SHA-256, or have little to hash.
    if (BATCH_FROM..POOL_FROM).contains(&body.length())
        && let Some(sha256) = left.iter().position(|&algorithm| algorithm == DigestAlgorithm::Sha256)
        && sha256_multi::is_faster()
        && !(alone && batcher.is_idle())
        && let Some(sum) = batcher.sha256(body.clone()).await
    {
        digests.push(Digest { algorithm: left.swap_remove(sha256), value: sum.to_vec() });
    }
    if !left.is_empty() {
        digests.extend(hash(body, left).await);
    }
    digests
}

/// Computes the digests of one body where they block nobody.
async fn hash(body: &Chunks, algorithms: Vec<DigestAlgorithm>) -> Vec<Digest> {
    if body.length() < POOL_FROM {
        return hash_now(body.pieces(), &algorithms);
    }
    match pool::digests(body, &algorithms).await {
        Some(digests) => digests,
        None => hash_now(body.pieces(), &algorithms),
    }
}

fn hash_now<'a>(pieces: impl Iterator<Item = &'a Bytes>, algorithms: &[DigestAlgorithm]) -> Vec<Digest> {
    let mut sums: Vec<_> = algorithms.iter().map(|&algorithm| (algorithm, Hasher::new(algorithm))).collect();
    for piece in pieces {
        sums.iter_mut().for_each(|(_, sum)| sum.update(piece));
    }
    sums.into_iter().map(|(algorithm, sum)| Digest { algorithm, value: sum.finish() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DigestAlgorithm; 5] = [
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Md5,
        DigestAlgorithm::Crc32,
        DigestAlgorithm::Crc32c,
        DigestAlgorithm::Crc64nvme,
    ];

    /// The check values of the CRC catalogue, of "123456789", and those of `sha256sum` and `md5sum`.
    #[tokio::test]
    async fn digests_match_known_values() {
        let body = Chunks::from(vec![Bytes::from("1234"), Bytes::from("56789")]);
        let batcher = Batcher::default();
        let sums = of(&body, &ALL, &batcher, true).await;
        let hex = |n: usize| sums[n].value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(0), "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
        assert_eq!(hex(1), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!((hex(2).as_str(), hex(3).as_str(), hex(4).as_str()), ("cbf43926", "e3069283", "ae8b14860a799888"));
        // The thread pool computes the same.
        let large = Chunks::from(vec![Bytes::from(vec![7; POOL_FROM as usize])]);
        assert_eq!(of(&large, &ALL, &batcher, false).await[0].value, hash_now(large.pieces(), &ALL)[0].value);
        assert!(of(&body, &[], &batcher, false).await.is_empty());
    }

    /// Every body gets all of its own digests, batched or not.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn concurrent_digests_are_correct() {
        let batcher = Batcher::default();
        let wanted = [DigestAlgorithm::Sha256, DigestAlgorithm::Crc32];
        // From bodies that are hashed alone to bodies that are hashed on the thread pool.
        let lengths = (0..40).map(|n| [100, BATCH_FROM, 100_000, POOL_FROM - 1][n % 4] as usize + n);
        let bodies: Vec<Chunks> = lengths.map(|length| vec![length as u8; length].into()).collect();
        let each = bodies.iter().map(|body| of(body, &wanted, &batcher, false));
        for (body, mut digests) in bodies.iter().zip(futures::future::join_all(each).await) {
            digests.sort_by_key(|digest| digest.algorithm != DigestAlgorithm::Sha256);
            let values = |digests: Vec<Digest>| digests.into_iter().map(|digest| digest.value).collect::<Vec<_>>();
            assert_eq!(values(digests), values(hash_now(body.pieces(), &wanted)), "{} bytes", body.length());
        }
    }
}
