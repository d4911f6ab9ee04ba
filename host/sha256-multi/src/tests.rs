use std::collections::VecDeque;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

/// A message in pieces.
#[derive(Clone)]
struct Pieces(VecDeque<Bytes>);

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, count: usize) {
        let first = self.0.front_mut().expect("a piece");
        first.advance(count);
        if first.is_empty() {
            self.0.pop_front();
        }
    }
}

/// Each instruction set that this CPU has by itself, and all of them together.
#[cfg(target_arch = "x86_64")]
fn backends() -> Vec<Backend> {
    let detected = Backend::detect();
    let none = Backend { avx512: None, sha_ni: None };
    let mut backends = vec![none, detected];
    backends.extend(detected.avx512.map(|(token, _)| Backend { avx512: Some((token, 1)), ..none }));
    backends.extend(detected.sha_ni.map(|token| Backend { sha_ni: Some(token), ..none }));
    backends
}

#[cfg(not(target_arch = "x86_64"))]
fn backends() -> Vec<Backend> {
    vec![Backend::detect()]
}

/// The digests of these messages, all of them added before the first call of `advance`.
fn digests(backend: Backend, messages: &[Vec<Bytes>]) -> Vec<Digest> {
    let mut hasher = MultiSha256 { backend, ..MultiSha256::new() };
    messages.iter().enumerate().for_each(|(n, message)| hasher.push(n, Pieces::from(message.clone())));
    let mut all = vec![[0; 32]; messages.len()];
    while !hasher.is_empty() {
        hasher.advance(|_| true, |n, digest| all[n] = digest);
    }
    all
}

fn expected(messages: &[Vec<Bytes>]) -> Vec<Digest> {
    messages.iter().map(|message| Sha256::digest(message.concat()).into()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_messages_in_any_pieces_equal_sha2(
        messages in vec(vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..6), 0..40)
    ) {
        for backend in backends() {
            prop_assert_eq!(digests(backend, &messages), expected(&messages), "{:?}", backend);
        }
    }
}

/// Lengths at which the padding fits into the last block, and at which it needs another.
#[test]
fn lengths_around_a_block_equal_sha2() {
    let messages: Vec<Vec<Bytes>> = (0..200).map(|length| vec![vec![length as u8; length].into()]).collect();
    for backend in backends() {
        assert_eq!(digests(backend, &messages), expected(&messages), "{backend:?}");
    }
}

/// Messages longer than one call of `advance` are resumed, others are added meanwhile, and one is dropped.
#[test]
fn messages_are_added_resumed_and_dropped_between_calls() {
    let most = BLOCKS_PER_CALL * BLOCK;
    let messages = [2 * most + 1, 5, most, 0, most / 2].map(|length| vec![Bytes::from(vec![length as u8; length])]);
    for backend in backends() {
        let mut hasher = MultiSha256 { backend, ..MultiSha256::new() };
        let mut all = [None; 5];
        let (mut coming, mut calls) = (messages.iter().enumerate(), 0);
        while coming.len() > 0 || !hasher.is_empty() {
            if let Some((n, message)) = coming.next() {
                hasher.push(n, Pieces::from(message.clone()));
            }
            hasher.advance(|&n| n != 2, |n, digest| all[n] = Some(digest));
            calls += 1;
        }
        assert!(calls >= 5);
        let mut wanted: Vec<_> = expected(&messages).into_iter().map(Some).collect();
        wanted[2] = None;
        assert_eq!(&all[..], wanted, "{backend:?}");
    }
}
