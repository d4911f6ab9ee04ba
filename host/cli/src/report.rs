//! A list of steps with their outcomes, for `demo` and `check`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Tone;
use crate::text;

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// Works, but not as it should.
    Doubtful,
    Failed,
    /// Not tried, because a prerequisite failed or it is not wanted.
    Skipped,
}

impl Verdict {
    fn word(self) -> (&'static str, Tone) {
        match self {
            Verdict::Ok => ("ok", Tone::Good),
            Verdict::Doubtful => ("doubt", Tone::Doubtful),
            Verdict::Failed => ("FAILED", Tone::Bad),
            Verdict::Skipped => ("-", Tone::Quiet),
        }
    }
}

/// One step.
#[derive(Debug)]
pub struct Step {
    pub name: &'static str,
    pub verdict: Verdict,
    pub time: Option<Duration>,
    pub detail: String,
    pub hint: Option<String>,
    /// The exit status, if this is the first failed step.
    pub exit: Exit,
}

impl Step {
    pub fn ok(name: &'static str, time: Duration, detail: impl Into<String>) -> Self {
        Step { name, verdict: Verdict::Ok, time: Some(time), detail: detail.into(), hint: None, exit: Exit::Success }
    }

    pub fn doubtful(name: &'static str, time: Duration, detail: impl Into<String>) -> Self {
        Step { verdict: Verdict::Doubtful, ..Step::ok(name, time, detail) }
    }

    pub fn skipped(name: &'static str, detail: impl Into<String>) -> Self {
        Step { verdict: Verdict::Skipped, time: None, ..Step::ok(name, Duration::ZERO, detail) }
    }

    pub fn failed(name: &'static str, time: Duration, failure: Failure) -> Self {
        let hint = failure.hint.or(failure.cause);
        Step { verdict: Verdict::Failed, time: Some(time), detail: failure.message, name, hint, exit: failure.exit }
    }

    /// A step that returned a wrong result.
    pub fn wrong(name: &'static str, time: Duration, detail: impl Into<String>) -> Self {
        Step { verdict: Verdict::Failed, exit: Exit::Failure, ..Step::ok(name, time, detail) }
    }
}

/// The steps so far. Each is printed at once, or all at the end as JSON.
pub struct Report<'a> {
    context: &'a Context,
    steps: Vec<Step>,
}

impl<'a> Report<'a> {
    pub fn new(context: &'a Context) -> Self {
        Report { context, steps: Vec::new() }
    }

    /// Adds a step, prints it for people, and returns whether to continue.
    pub fn add(&mut self, step: Step) -> Result<bool, Failure> {
        let output = &self.context.output;
        if !output.json {
            let (word, tone) = step.verdict.word();
            let word = output.paint(tone, &format!("{word:>6}"));
            let time = output.paint(Tone::Quiet, &format!("{:>9}", step.time.map(text::time).unwrap_or_default()));
            output.line(format!("{word}  {:<14}{time}  {}", step.name, text::plain(&step.detail)).trim_end())?;
            if let Some(hint) = &step.hint {
                output.line(format!("{:35}{} {}", "", output.paint(Tone::Strong, "->"), text::plain(hint)))?;
            }
        }
        let go_on = step.verdict != Verdict::Failed;
        self.steps.push(step);
        Ok(go_on)
    }

    pub fn count(&self, verdict: Verdict) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }

    /// Success, or the status of the first failed step.
    pub fn exit(&self) -> Exit {
        self.steps.iter().find(|step| step.verdict == Verdict::Failed).map_or(Exit::Success, |step| step.exit)
    }

    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(Step::to_json).collect();
        json!(steps)
    }
}

impl Step {
    fn to_json(&self) -> Value {
        json!({
            "step": self.name,
            "outcome": match self.verdict {
                Verdict::Ok => "ok",
                Verdict::Doubtful => "doubtful",
                Verdict::Failed => "failed",
                Verdict::Skipped => "skipped",
            },
            "milliseconds": self.time.map(milliseconds),
            "detail": self.detail,
            "hint": self.hint,
        })
    }
}

/// With microsecond precision.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
