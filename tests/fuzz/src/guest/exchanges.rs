//! Operations whose requests the host sends: what the plugin prepares must pass the host's rules for requests, and whatever comes
//! back must end the operation or lead to another attempt.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_s3::contract::model::{
    HeadOperation, HeadOptions, Operation, Outgoing, PartOperation, PartOptions, ReadOperation, Settled, Tries,
    WriteOperation,
};
use sandbucket_s3::s3::response;

use super::service::{Service, call, conditions, digests, key, read_options, response, store, write_options};

/// A store, and an operation on it, attempt after attempt.
pub fn guest_exchanges(data: &[u8]) {
    // Input that ends early is one that nothing more happens in.
    let _ = exchange(&mut Unstructured::new(data));
}

fn exchange(u: &mut Unstructured<'_>) -> Result<()> {
    let Some(mut store) = store(u)? else { return Ok(()) };
    let operation = operation(u)?;
    let mut tries = tries(u)?;
    for _ in 0..128 {
        let prepared = store.prepare(&mut Service::new(&mut Unstructured::new(&[])), operation.clone(), tries);
        let Ok(outgoing) = prepared else { return Ok(()) };
        passes(outgoing, &operation);
        if u.is_empty() {
            return Ok(());
        }
        let answer = response(u)?.map(|(head, chunks)| (head, chunks.concat()));
        let answer = answer.as_ref().map(|(head, body)| (head.clone(), &body[..])).map_err(Clone::clone);
        match store.settle(&mut Service::new(u), operation.clone(), tries, answer) {
            Ok(settled) => {
                fits(&settled, &operation);
                return Ok(());
            }
            Err(refusal) => {
                assert!(!refusal.failure.message.is_empty());
                let Some(again) = refusal.again else { return Ok(()) };
                tries = again.tries;
            }
        }
    }
    Ok(())
}

#[cfg(not(feature = "host"))]
fn passes(_: Outgoing, _: &Operation) {}

/// The host sends what the plugin prepares.
#[cfg(feature = "host")]
fn passes(outgoing: Outgoing, operation: &Operation) {
    use sandbucket::fuzzing::{PreparedRequest, RequestPurpose, request_head};

    let (purpose, length) = match operation {
        Operation::Head(_) => (RequestPurpose::Head, 0),
        Operation::Read(_) => (RequestPurpose::Read, 0),
        Operation::Write(write) => (RequestPurpose::Write, write.length),
        Operation::Part(part) => (RequestPurpose::Write, part.length),
    };
    let Outgoing { method, https, authority, path_with_query, headers, patience, .. } = outgoing;
    let method = method.as_str().parse().expect("a method");
    let patience = std::time::Duration::from_nanos(patience);
    // What is too large for the host is refused by it, and everything else goes out.
    let is_large = headers.len() > 64 << 10 || path_with_query.len() > 32 << 10;
    let prepared = PreparedRequest { method, https, authority, path_with_query, headers, patience };
    if let Err(refused) = request_head(prepared, purpose, length) {
        assert!(is_large, "{refused}");
    }
}

/// A success is one of what was asked for.
fn fits(settled: &Settled, operation: &Operation) {
    match (settled, operation) {
        (Settled::Opened(_), Operation::Head(_)) => {}
        (Settled::Opened(opened), Operation::Read(read)) => {
            let range = read.options.as_ref().map(|options| options.range).unwrap_or_default();
            assert_eq!(Some(opened.range), response::wanted(range, opened.info.size));
            assert!(opened.given.start <= opened.range.start && opened.range.end <= opened.given.end);
            assert!(opened.given.end <= opened.info.size);
        }
        (Settled::Written(_), Operation::Write(_)) => {}
        (Settled::Part(part), Operation::Part(asked)) => {
            assert_eq!((part.number, part.size), (asked.number, asked.length))
        }
        (settled, operation) => panic!("{operation:?} came to {settled:?}"),
    }
}

fn operation(u: &mut Unstructured<'_>) -> Result<Operation> {
    let key = key(u)?;
    Ok(match u.int_in_range(0..=3)? {
        0 => {
            let options = HeadOptions { conditions: conditions(u)?, version: Arbitrary::arbitrary(u)?, call: call(u)? };
            Operation::Head(HeadOperation { key, options: if bool::arbitrary(u)? { Some(options) } else { None } })
        }
        1 => {
            let options = if bool::arbitrary(u)? { Some(read_options(u)?) } else { None };
            Operation::Read(ReadOperation { key, options })
        }
        2 => {
            let options = if bool::arbitrary(u)? { Some(write_options(u)?) } else { None };
            Operation::Write(WriteOperation { key, length: u64::arbitrary(u)?, digests: digests(u)?, options })
        }
        _ => {
            let (upload, number) = (String::arbitrary(u)?, u32::from(u16::arbitrary(u)?));
            let options = Some(PartOptions { digests: digests(u)?, call: call(u)? });
            Operation::Part(PartOperation {
                key,
                upload,
                number,
                length: u64::arbitrary(u)?,
                digests: digests(u)?,
                options,
            })
        }
    })
}

fn tries(u: &mut Unstructured<'_>) -> Result<Tries> {
    if !u.ratio(1, 4)? {
        return Ok(Tries { limit: 180_000_000_000, ..Tries::default() });
    }
    let (limit, elapsed, attempts, retries, skew) = Arbitrary::arbitrary(u)?;
    let (maybe_done, skewed) = Arbitrary::arbitrary(u)?;
    Ok(Tries { limit, elapsed, attempts, retries, maybe_done, skewed, skew })
}
