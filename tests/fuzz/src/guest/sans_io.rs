//! Every operation by `begin` and `resume`: the requests must pass the host's rules, and any response must end the operation or lead
//! to another request; also if the driver alters the state.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_s3::ops::{Event, Exchange, Next, Response, State};

use super::operation::operation;
use super::operations::fits;
use super::service::{response, store};

/// More than retries, reconciliation and single deletes of one operation take.
const MAX_STEPS: usize = 2048;

/// A store, and an operation on it, step after step.
pub fn guest_sans_io(data: &[u8]) {
    // After the end of the input nothing more happens.
    let _ = steps(&mut Unstructured::new(data));
}

fn steps(u: &mut Unstructured<'_>) -> Result<()> {
    let Some(mut store) = store(u)? else { return Ok(()) };
    let operation = operation(u)?;
    let mut wall = *u.choose(&[1_700_000_000, 0, u64::MAX])?;
    let (mut next, mut altered, mut elapsed) = (store.begin(wall, operation.clone()), false, 0_u64);
    for _ in 0..MAX_STEPS {
        let exchange = match next {
            Next::Send(exchange) => *exchange,
            Next::Done(output) => {
                if !altered {
                    fits(&output, &operation);
                }
                return Ok(());
            }
            Next::Failed(failure) => {
                assert!(!failure.message.is_empty());
                return Ok(());
            }
        };
        passes(&exchange);
        if u.is_empty() {
            return Ok(());
        }
        let mut bytes = exchange.state.encode();
        if u.ratio(1, 16)? {
            let place = u.choose_index(bytes.len())?;
            bytes[place] = u8::arbitrary(u)?;
            altered = true;
        }
        let Ok(state) = State::decode(&bytes) else {
            assert!(altered, "a state is not read back");
            return Ok(());
        };
        wall = wall.saturating_add(u64::from(u8::arbitrary(u)?));
        elapsed = if u.ratio(1, 16)? { u64::arbitrary(u)? } else { elapsed.saturating_add(1_000_000_000) };
        let received = response(u)?.map(|(head, chunks)| (head, chunks.concat()));
        let truncated = u.ratio(1, 16)?;
        let event = match &received {
            Ok((head, body)) => Event::Response(Response { head: head.clone(), body, truncated }),
            Err(error) => Event::Failed(error.clone()),
        };
        next = store.resume(wall, state, elapsed, event);
    }
    panic!("{operation:?} goes on without end");
}

#[cfg(not(feature = "host"))]
fn passes(_: &Exchange) {}

/// The host sends what the plugin makes.
#[cfg(feature = "host")]
fn passes(exchange: &Exchange) {
    use sandbucket::fuzzing::{PreparedRequest, request_head};

    let request = &exchange.request;
    let (headers, length) = (request.field_lines(exchange.body.length()), exchange.body.length());
    let path_with_query = request.path_and_query().into_owned();
    // The host refuses what is too large, and sends everything else.
    let is_large = headers.len() > 64 << 10 || path_with_query.len() > 32 << 10;
    let prepared = PreparedRequest {
        method: request.method.as_str().parse().expect("a method"),
        https: request.https,
        authority: request.authority.clone(),
        path_with_query,
        headers,
        timeout: exchange.timeout,
    };
    if let Err(refused) = request_head(prepared, length) {
        assert!(is_large, "{refused}");
    }
}
