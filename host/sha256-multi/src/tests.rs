use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

/// Means that this processor has, one by one and as they are used.
fn all_means() -> Vec<Means> {
    let Means { sixteen, pair } = Means::here();
    let none = Means { sixteen: None, pair: false };
    let sixteen = sixteen.map(|_| Means { sixteen: Some(1), ..none });
    let pair = pair.then_some(Means { pair, ..none });
    [Some(none), pair, sixteen, Some(Means::here())].into_iter().flatten().collect()
}

/// The sums of these bodies, all of them added before the first step.
fn made(means: Means, bodies: &[Vec<Bytes>]) -> Vec<Sum> {
    let mut sums = Sums { means, ..Sums::new() };
    bodies.iter().enumerate().for_each(|(n, body)| sums.add(n, body.clone().into()));
    let mut all = vec![[0; 32]; bodies.len()];
    while sums.count() > 0 {
        sums.go_on(|_| true, |n, sum| all[n] = sum);
    }
    all
}

fn expected(bodies: &[Vec<Bytes>]) -> Vec<Sum> {
    bodies.iter().map(|body| Sha256::digest(body.concat()).into()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any number of bodies, of any length, in any pieces.
    #[test]
    fn as_the_library_has_them(bodies in vec(vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..6), 0..40)) {
        for means in all_means() {
            prop_assert_eq!(made(means, &bodies), expected(&bodies), "{:?}", means);
        }
    }
}

/// The last block is full, has room for the length or just has none.
#[test]
fn lengths_about_a_block() {
    let bodies: Vec<Vec<Bytes>> = (0..200).map(|length| vec![vec![length as u8; length].into()]).collect();
    for means in all_means() {
        assert_eq!(made(means, &bodies), expected(&bodies), "{means:?}");
    }
}

/// What takes more than a moment is taken up where it was left, others come meanwhile, and some are given up.
#[test]
fn those_that_come_later_and_those_that_go() {
    let most = AT_ONCE * BLOCK;
    let bodies = [2 * most + 1, 5, most, 0, most / 2].map(|length| vec![Bytes::from(vec![length as u8; length])]);
    for means in all_means() {
        let mut sums = Sums { means, ..Sums::new() };
        let mut all = [None; 5];
        let (mut coming, mut goes) = (bodies.iter().enumerate(), 0);
        while coming.len() > 0 || sums.count() > 0 {
            if let Some((n, body)) = coming.next() {
                sums.add(n, body.clone().into());
            }
            sums.go_on(|&n| n != 2, |n, sum| all[n] = Some(sum));
            goes += 1;
        }
        assert!(goes >= 5);
        let mut wanted: Vec<_> = expected(&bodies).into_iter().map(Some).collect();
        wanted[2] = None;
        assert_eq!(&all[..], wanted, "{means:?}");
    }
}
