//! Arbitrary ranges and sizes: what the host accepts from a plugin lies within the blob, and is cut to the request.

use std::ops::Range;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use sandbucket::ByteRange;
use sandbucket::fuzzing::{checked_inline, checked_ranges, cut};
use sandbucket_plugin::contract::model::{ByteRange as GuestRange, Span};
use sandbucket_plugin::http::response::resolve_range;

/// Maximum length of an assembled body.
const MAX_BODY: u64 = 4096;

/// A blob's size, a requested range, and the plugin's claims about both.
pub fn host_ranges(data: &[u8]) {
    // Input that is too short is ignored.
    let _ = ranges(&mut Unstructured::new(data));
}

fn ranges(u: &mut Unstructured<'_>) -> Result<()> {
    let (size, a, b) = (number(u)?, number(u)?, number(u)?);
    let (requested, guest) = match u.int_in_range(0..=3)? {
        0 => (ByteRange::Whole, GuestRange::Whole),
        1 => (ByteRange::From(a), GuestRange::From(a)),
        2 => (ByteRange::Within(a..b), GuestRange::Within(Span { start: a, end: b })),
        _ => (ByteRange::Last(a), GuestRange::Last(a)),
    };
    let right = resolve_range(guest, size).map(|span| span.start..span.end);
    let range = match &right {
        Some(right) if bool::arbitrary(u)? => right.clone(),
        _ => number(u)?..number(u)?,
    };
    let given = if bool::arbitrary(u)? { 0..size } else { number(u)?..number(u)? };

    if let Ok((range, given)) = checked_ranges(size, range.clone(), given, requested.clone()) {
        assert!(given.start <= range.start && range.start <= range.end);
        assert!(range.end <= given.end && given.end <= size);
        // A range without a byte of the blob may be requested as well.
        assert!(right.as_ref().is_none_or(|right| *right == range), "{right:?} is not {range:?}");
        if given.end - given.start <= MAX_BODY {
            in_pieces(u, range, given)?;
        }
    }
    let body = vec![7; u.int_in_range(0..=9)?];
    if let Ok((range, body)) = checked_inline(size, range, body, requested) {
        assert!(range.start <= range.end && range.end <= size);
        assert_eq!(range.end - range.start, body.len() as u64);
    }
    let piece = Bytes::from(Vec::arbitrary(u)?);
    let left = cut(piece.clone(), number(u)?, number(u)?..number(u)?);
    assert!(left.len() <= piece.len());
    Ok(())
}

/// Reads a body as `Blob` does, chunk by chunk: it yields each byte of the range once.
fn in_pieces(u: &mut Unstructured<'_>, range: Range<u64>, given: Range<u64>) -> Result<()> {
    let byte = |place: u64| (place % 251) as u8;
    let (mut start, mut position, mut got) = (given.start, range.start, Vec::new());
    while start < given.end {
        let end = given.end.min(start.saturating_add(u.int_in_range(1..=700)?));
        let piece = cut((start..end).map(byte).collect(), start, position..range.end);
        position += piece.len() as u64;
        got.extend_from_slice(&piece);
        start = end;
    }
    assert_eq!(position, range.end);
    assert!(got.into_iter().eq(range.map(byte)));
    Ok(())
}

/// Any number; often one at which sums overflow or a body is short.
fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=3)? {
        0 => u64::arbitrary(u)?,
        1 => u64::MAX - u64::from(u8::arbitrary(u)?),
        _ => u64::from(u16::arbitrary(u)? % 2048),
    })
}
