//! What can go wrong with a call, and which calls it goes wrong with.
//!
//! Rules are kept in the order in which they were set, and the first that
//! fires for a call is applied. A [`When::Nth`] rule counts every call that
//! matches it, also those that an earlier rule spoiled. A rule may be about one
//! conversation or item alone ([`Gladly::fault_about`](super::Gladly::fault_about)).

use std::time::Duration;

use super::hold::Gate;
use super::operation::Operation;

/// A rule: what goes wrong, with which calls.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The calls it is about; all of them if `None`.
    pub operation: Option<Operation>,
    /// Which of them it spoils.
    pub when: When,
    /// What happens to those.
    pub what: What,
}

/// Which of the matching calls a fault spoils.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The next so many.
    Next(u32),
    /// The one with this number, counted from now, the first being 1.
    Nth(u32),
    /// Every one, until the faults are cleared.
    Always,
    /// Each with this probability, drawn from the simulator's seeded generator.
    Probability(f64),
}

/// What happens to a spoiled call.
#[derive(Debug, Clone)]
pub enum What {
    /// Answered with this status, without an effect.
    Status(Reply),
    /// Taken up only after a while; a caller that leaves before causes no effect.
    Delay(Duration),
    /// Carried out at once, answered after a while.
    DelayAfter(Duration),
    /// The connection closes without a byte, and without an effect.
    CutBefore,
    /// Carried out, then the connection closes without a byte.
    CutAfter,
    /// The connection closes without a byte; carried out all the same, once the
    /// test lets it. So a call that its caller has given up may land late.
    CutThenLand(Gate),
    /// Carried out, then answered with this status and no body.
    StatusAfter(u16),
    /// Answered 200 with a page of HTML, without an effect.
    Garbage,
    /// Waits before the effect until the test releases it.
    Hold(Gate),
    /// Carried out, then the answer waits until the test releases it.
    HoldAnswer(Gate),
}

/// An answer made up by a fault.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The status; 500 if it isn't one.
    pub status: u16,
    /// Headers to add.
    pub headers: Vec<(String, String)>,
    /// The body, sent as JSON whatever it is.
    pub body: String,
}

impl What {
    /// Answers with a bare status, without an effect.
    pub fn status(status: u16) -> Self {
        Self::Status(Reply {
            status,
            ..Reply::default()
        })
    }

    /// Whether the caller gets no answer that it can use, however long it waits.
    pub(crate) const fn spoils_the_answer(&self) -> bool {
        match self {
            Self::Status(_)
            | Self::CutBefore
            | Self::CutAfter
            | Self::CutThenLand(_)
            | Self::StatusAfter(_)
            | Self::Garbage => true,
            Self::Delay(_) | Self::DelayAfter(_) | Self::Hold(_) | Self::HoldAnswer(_) => false,
        }
    }

    /// Answers 429 with this `Retry-After`, without an effect.
    pub fn too_many(retry_after_seconds: u32) -> Self {
        Self::Status(Reply {
            status: 429,
            headers: vec![("Retry-After".to_owned(), retry_after_seconds.to_string())],
            body: String::new(),
        })
    }
}

/// How a service that is down refuses all calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// With a status, such as 503.
    Status(u16),
    /// By closing the connection.
    Cut,
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct FaultBook {
    pub(crate) outage: Option<Outage>,
    rules: Vec<Rule>,
    rng: fastrand::Rng,
}

/// A fault and what it is about.
#[derive(Debug)]
struct Rule {
    /// The id that a call's path must name; any call if `None`.
    about: Option<String>,
    fault: Fault,
}

impl Rule {
    fn matches(&self, operation: Operation, path: &str) -> bool {
        let named = |id: &String| path.split('/').any(|segment| segment == id);
        self.fault
            .operation
            .is_none_or(|wanted| wanted == operation)
            && self.about.as_ref().is_none_or(named)
    }
}

impl FaultBook {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            outage: None,
            rules: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Adds a rule, for the calls whose path names the id `about` if there is one.
    pub(crate) fn add(&mut self, about: Option<String>, fault: Fault) {
        self.rules.push(Rule { about, fault });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// What happens to this call, if anything does.
    pub(crate) fn decide(&mut self, operation: Operation, path: &str) -> Option<What> {
        match self.outage {
            Some(Outage::Status(status)) => return Some(What::status(status)),
            Some(Outage::Cut) => return Some(What::CutBefore),
            None => {}
        }
        let mut decided = None;
        for rule in &mut self.rules {
            if !rule.matches(operation, path) {
                continue;
            }
            if fires(&mut rule.fault.when, decided.is_none(), &mut self.rng) {
                decided = Some(rule.fault.what.clone());
            }
        }
        self.rules
            .retain(|rule| !matches!(rule.fault.when, When::Next(0) | When::Nth(0)));
        decided
    }
}

/// Counts one matching call; true if it is one to spoil and still `free`.
fn fires(when: &mut When, free: bool, rng: &mut fastrand::Rng) -> bool {
    match when {
        When::Nth(left) => {
            *left = left.saturating_sub(1);
            *left == 0 && free
        }
        When::Next(left) if free && *left > 0 => {
            *left -= 1;
            true
        }
        When::Next(_) => false,
        When::Always => free,
        When::Probability(probability) => free && rng.f64() < *probability,
    }
}
