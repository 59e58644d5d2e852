//! Why messages were put to the bot more than once, told from what the simulated Gleen
//! was asked, by which relay, and when relays were killed and the database was crashed.
//!
//! A question may be put once more where nothing tells whether Gleen took it, or where
//! its answer was lost with whoever had it. Without such a cause it must not be.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::ledger::{Token, tokens};
use crate::sim::{Question, RecordedRequest};
use crate::store::LEASE;

/// An answer that the bot thought about is stored by then, also on a busy machine: what
/// strikes later is no reason to ask again.
const STORED_WITHIN: Duration = Duration::from_secs(2);

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// It began.
    pub from: Instant,
    /// It was over.
    pub to: Instant,
}

impl Span {
    /// From then until now.
    pub fn since(from: Instant) -> Self {
        let to = Instant::now();
        Self { from, to }
    }
}

/// What was done to the relays and their database.
#[derive(Debug, Clone, Default)]
pub struct Struck {
    /// The number of the relay that was killed, and how long that took.
    pub kills: Vec<(usize, Span)>,
    /// From a crash of the database until it could be used again.
    pub crashes: Vec<Span>,
}

/// Messages that stand in more than one question, by why the one before was not
/// enough. One of several causes counts by the last in this list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedTwice {
    /// A fault of Gleen's cut its answer off, or spoiled it.
    pub spoiled: usize,
    /// The relay that had asked was killed before the answer.
    pub killed: usize,
    /// The database was crashed, and with it the right to go on may have been lost.
    pub crashed: usize,
    /// The answer had been given to the relay, which was killed before it was stored.
    pub unstored: usize,
    /// Nothing of that.
    pub without_cause: usize,
}

/// As in [`AskedTwice`], in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Spoiled,
    Killed,
    Crashed,
    Unstored,
    None,
}

impl AskedTwice {
    /// Messages that stand in more than one question.
    pub const fn all(&self) -> usize {
        self.spoiled + self.killed + self.crashed + self.unstored + self.without_cause
    }

    /// Counts them in what Gleen was asked.
    pub fn count(questions: &[Question], calls: &[RecordedRequest], struck: &Struck) -> Self {
        let calls: HashMap<u64, &RecordedRequest> =
            calls.iter().map(|call| (call.sequence, call)).collect();
        let mut last: HashMap<Token, &RecordedRequest> = HashMap::new();
        let mut causes: HashMap<Token, Cause> = HashMap::new();
        for question in questions {
            let Some(call) = calls.get(&question.call) else {
                continue;
            };
            for token in tokens(&question.text) {
                if let Some(before) = last.insert(token, call) {
                    let cause = struck.cause(before, call);
                    let known = causes.entry(token).or_insert(cause);
                    *known = (*known).max(cause);
                }
            }
        }
        let mut counts = Self::default();
        for cause in causes.into_values() {
            *match cause {
                Cause::Spoiled => &mut counts.spoiled,
                Cause::Killed => &mut counts.killed,
                Cause::Crashed => &mut counts.crashed,
                Cause::Unstored => &mut counts.unstored,
                Cause::None => &mut counts.without_cause,
            } += 1;
        }
        counts
    }
}

impl Struck {
    /// Why what was asked by one call was asked again by another.
    fn cause(&self, before: &RecordedRequest, again: &RecordedRequest) -> Cause {
        if before.spoiled {
            return Cause::Spoiled;
        }
        let asker = asker(before);
        let stored = before.ended_at.map(|ended| ended + STORED_WITHIN);
        let in_time = |span: &Span| stored.is_none_or(|stored| span.from <= stored);
        let mut kills = self
            .kills
            .iter()
            .filter(|(relay, _)| Some(*relay) == asker)
            .map(|(_, kill)| kill)
            .filter(|kill| before.at <= kill.to && kill.from < again.at)
            .filter(|kill| in_time(kill));
        // A caller that is gone is noticed a moment later.
        let met = |kill: &Span| before.ended_at.is_none_or(|ended| kill.from <= ended);
        let crash =
            |crash: &Span| before.at <= crash.to + LEASE && crash.from < again.at && in_time(crash);
        match kills.next() {
            Some(kill) if before.status.is_none() || met(kill) => Cause::Killed,
            Some(_) => Cause::Unstored,
            None if self.crashes.iter().any(crash) => Cause::Crashed,
            None => Cause::None,
        }
    }
}

/// The number of the relay that made this call; its address of Gleen ends with it.
fn asker(call: &RecordedRequest) -> Option<usize> {
    call.path.split('/').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::Operation;

    /// A run's beginning, and a moment so many seconds later.
    struct Run(Instant);

    impl Run {
        fn at(&self, seconds: u64) -> Instant {
            self.0 + Duration::from_secs(seconds)
        }

        fn call(&self, relay: usize, from: u64, to: u64) -> RecordedRequest {
            RecordedRequest {
                sequence: from,
                at: self.at(from),
                operation: Operation::SendMessage,
                method: "POST".to_owned(),
                path: format!("/{relay}/api/v1/send_message"),
                status: Some(200),
                ended_at: Some(self.at(to)),
                spoiled: false,
            }
        }

        fn span(&self, from: u64, to: u64) -> Span {
            let (from, to) = (self.at(from), self.at(to));
            Span { from, to }
        }
    }

    fn question(call: u64, text: &str) -> Question {
        Question {
            sequence: call,
            call,
            thread_id: "1".to_owned(),
            text: text.to_owned(),
            locale: None,
            before: Vec::new(),
        }
    }

    const ONE: &str = "about item000001of000001";

    fn asked_again(calls: &[RecordedRequest], struck: &Struck) -> AskedTwice {
        let asked = calls.iter().map(|call| question(call.sequence, ONE));
        let questions: Vec<_> = asked.collect();
        AskedTwice::count(&questions, calls, struck)
    }

    #[test]
    fn a_message_in_two_questions_was_asked_twice_and_others_were_not() {
        let run = Run(Instant::now());
        let calls = [run.call(0, 1, 2), run.call(0, 3, 4), run.call(0, 5, 6)];
        let questions = [
            question(1, "about item000000of000001\nand item000001of000001"),
            question(3, ONE),
            question(5, "about item000000of000002"),
        ];
        let counted = AskedTwice::count(&questions, &calls, &Struck::default());
        assert_eq!((counted.all(), counted.without_cause), (1, 1));
    }

    #[test]
    fn each_cause_is_told_apart() {
        let run = Run(Instant::now());
        let plain = [run.call(1, 1, 3), run.call(2, 20, 21)];
        let kill_at = |relay, from| Struck {
            kills: vec![(relay, run.span(from, from))],
            ..Struck::default()
        };
        let nothing = asked_again(&plain, &Struck::default());
        assert_eq!(nothing.without_cause, 1);
        let another = asked_again(&plain, &kill_at(0, 2));
        assert_eq!(another.without_cause, 1, "another relay was killed");
        let later = asked_again(&plain, &kill_at(1, 25));
        assert_eq!(later.without_cause, 1, "it was killed later");
        assert_eq!(asked_again(&plain, &kill_at(1, 2)).killed, 1);
        assert_eq!(asked_again(&plain, &kill_at(1, 4)).unstored, 1);
        let long_after = asked_again(&plain, &kill_at(1, 15));
        assert_eq!(long_after.without_cause, 1, "it was stored by then");
        let crashed_at = |from| Struck {
            crashes: vec![run.span(from, from + 2)],
            ..Struck::default()
        };
        assert_eq!(asked_again(&plain, &crashed_at(2)).crashed, 1);
        let long_after = asked_again(&plain, &crashed_at(15));
        assert_eq!(long_after.without_cause, 1, "it was stored by then");
        let mut spoiled = plain;
        spoiled[0].spoiled = true;
        assert_eq!(asked_again(&spoiled, &kill_at(1, 2)).spoiled, 1);
    }
}
