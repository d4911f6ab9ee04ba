//! What the world `plugin` has beside `simple-plugin`.

#![expect(clippy::result_large_err, reason = "the contract's errors are as large as that")]

use crate::exports::sandbucket::blob::exchanges::{
    Guest, Method, Next, OpenedHead, Operation, Outgoing, Received, Refusal, Retry, Settled, StoreBorrow, Tries, Turn,
};
use crate::exports::sandbucket::blob::types::{BlobInfo, ErrorKind, Span, Written};
use crate::misdeeds::{self, Mode, answer, compute, lacking};
use crate::{Open, Rogue, error, info};

impl Guest for Rogue {
    fn step(store: StoreBorrow<'_>, turns: Vec<Turn>) -> Vec<Result<Next, Refusal>> {
        if store.get::<Open>().mode.name == "miscounts" {
            return Vec::new();
        }
        if store.get::<Open>().mode.name == "miscounts-together" && turns.len() > 1 {
            misdeeds::compute(20);
            return Vec::new();
        }
        let mut steps = Vec::new();
        for turn in &turns {
            steps.push(store.get::<Open>().mode.step(&turn.operation, turn.outcome.is_some()));
        }
        steps
    }

    fn take(_: StoreBorrow<'_>, answers: Vec<Received>) -> Vec<Option<Settled>> {
        answers.iter().map(|_| None).collect()
    }
}

impl Mode {
    /// The next step of an operation, where this mode has any to take.
    pub fn step(&self, operation: &Operation, answered: bool) -> Result<Next, Refusal> {
        let refused = |error| Refusal { error, again: None };
        if let Some(misdeed) = self.name.strip_prefix("step-") {
            Mode { name: misdeed.to_owned(), ..self.clone() }.act().map_err(refused)?;
        }
        let outgoing = |authority: &str, headers: &str| Outgoing {
            method: match operation {
                Operation::Head(_) => Method::Head,
                Operation::Read(_) => Method::Get,
                Operation::Write(_) | Operation::Part(_) => Method::Put,
            },
            https: false,
            authority: authority.to_owned(),
            path_with_query: "/".to_owned(),
            headers: headers.to_owned(),
            patience: 1_000_000_000,
            plain: false,
        };
        let send = |headers: &str| Ok(Next::Send(outgoing(&self.target, headers)));
        if let (Some(name), false) = (self.name.strip_prefix("field-"), answered) {
            return send(&format!("{name}:1\n"));
        }
        if let (Some(name), false) = (self.name.strip_prefix("method-"), answered) {
            let method = match name {
                "get" => Method::Get,
                "head" => Method::Head,
                "post" => Method::Post,
                "put" => Method::Put,
                _ => Method::Delete,
            };
            return Ok(Next::Send(Outgoing { method, ..outgoing(&self.target, "") }));
        }
        if let (Some(millions), false) = (self.name.strip_prefix("spins-"), answered) {
            compute(millions.parse().unwrap_or(0));
            return send("");
        }
        match (self.name.as_str(), answered) {
            ("one-crashes", _) if matches!(operation, Operation::Read(read) if read.key == "crash") => {
                core::arch::wasm32::unreachable()
            }
            ("step-elsewhere" | "step-for-ever" | "step-backwards", false) => send(""),
            ("many-lines", false) => send(&(0..40_000).map(|n| format!("x-amz-{n}:\n")).collect::<String>()),
            ("tiny-lines", false) => send(&"a:\n".repeat(3 << 20)),
            ("some-lines", false) => send(&(0..2000).map(|n| format!("x-amz-{n}:\n")).collect::<String>()),
            ("long-line", false) => send(&format!("x-amz-a:{}\n", "x".repeat(100_000))),
            ("long-path", false) => Ok(Next::Send(Outgoing {
                path_with_query: format!("/{}", "x".repeat(100_000)),
                ..outgoing(&self.target, "")
            })),
            ("step-host", false) => send("Host:elsewhere\n"),
            ("step-length", false) => send("content-length:1000\n"),
            ("step-smuggles", false) => send("x-a:1\r\n\r\nGET / HTTP/1.1\n"),
            ("step-done", false) => Ok(Next::Done(Settled::Written(Written { etag: None, version: None }))),
            ("step-backwards", true) => send(""),
            ("asks-in-steps", false) => {
                for _ in 0..15 {
                    let _ = answer(&self.target);
                }
                send("")
            }
            ("miscounts-together", false) => send(""),
            (name, true)
                if ["step-for-ever", "asks-in-steps", "miscounts-together"].contains(&name)
                    || name.starts_with("spins-") =>
            {
                let (attempts, retries, maybe_done, skewed, skew) = (0, 0, false, false, 0);
                let tries = Tries { limit: u64::MAX, elapsed: 0, attempts, retries, maybe_done, skewed, skew };
                let error = error(ErrorKind::Network, "and again".to_owned());
                Err(Refusal { error, again: Some(Retry { pause: 0, tries }) })
            }
            (_, true) if self.opened().is_none() => Err(refused(error(ErrorKind::Network, "it failed".to_owned()))),
            (_, false) if self.opened().is_some() && matches!(operation, Operation::Read(_)) => send(""),
            (_, true) => {
                self.opened().map(|opened| Next::Done(Settled::Opened(opened))).ok_or_else(|| refused(lacking()))
            }
            _ => Err(refused(lacking())),
        }
    }

    /// A blob whose bytes are an answer of the target, and not what is said of them.
    fn opened(&self) -> Option<OpenedHead> {
        let span = |start, end| Span { start, end };
        let ten = || info(&[0; 10]);
        let (info, range, given) = match (self.vast(), self.name.as_str()) {
            (Some(size), _) => (BlobInfo { size, ..info(&[]) }, span(0, size), span(0, size)),
            (_, "body-of-another-range") => (ten(), span(5, 6), span(5, 6)),
            (_, "body-that-gives-less") => (ten(), span(0, 10), span(0, 9)),
            (_, "backward-body") => (ten(), span(0, 10), span(10, 0)),
            (_, "body-past-the-end") => (ten(), span(0, 10), span(0, 11)),
            (_, "one-crashes") => (ten(), span(0, 10), span(0, 10)),
            _ => return None,
        };
        Some(OpenedHead { info, range, given, digest: None })
    }
}
