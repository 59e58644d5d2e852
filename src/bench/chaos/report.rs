//! What a run showed, in lines that a person reads, and as figures.

use std::fmt;

use super::run::Result;
use crate::bench::Section;

/// Key, words and count.
type Line = (&'static str, &'static str, usize);

impl Result {
    /// Under headings, of which the first has no words.
    fn lines(&self) -> [(&'static str, Vec<Line>); 3] {
        [
            ("", self.outcomes()),
            ("must be 0:", self.promises()),
            ("for information:", self.information()),
        ]
    }

    fn outcomes(&self) -> Vec<Line> {
        let verdict = &self.verdict;
        vec![
            ("written", "written", verdict.written),
            ("accepted", "accepted", verdict.accepted),
            ("replied", "replied", verdict.replied),
            ("handed_off", "handed off", verdict.handed_off),
            ("skipped", "skipped (a human had it)", verdict.skipped),
        ]
    }

    fn promises(&self) -> Vec<Line> {
        let verdict = &self.verdict;
        let asked = &verdict.asked_twice;
        vec![
            ("dead", "dead", self.dead),
            ("lost", "lost", verdict.lost),
            ("answered_twice", "answered twice", verdict.answered_twice),
            (
                "answered_elsewhere",
                "answered in another's conversation",
                verdict.answered_elsewhere,
            ),
            ("out_of_order", "out of order", verdict.out_of_order),
            (
                "bot_after_human",
                "bot after human",
                verdict.bot_after_human,
            ),
            ("noted_twice", "noted twice", verdict.noted_twice),
            ("late", "later than the deadline and a retry", verdict.late),
            (
                "asked_twice_without_cause",
                "asked twice without a cause",
                asked.without_cause,
            ),
        ]
    }

    fn information(&self) -> Vec<Line> {
        let verdict = &self.verdict;
        let asked = &verdict.asked_twice;
        let slowest = usize::try_from(verdict.slowest.as_millis()).unwrap_or(usize::MAX);
        vec![
            ("asked_twice", "asked twice", asked.all()),
            (
                "asked_twice_spoiled",
                "  the answer was cut off",
                asked.spoiled,
            ),
            (
                "asked_twice_killed",
                "  the relay was killed meanwhile",
                asked.killed,
            ),
            (
                "asked_twice_unstored",
                "  the answer was there, not stored",
                asked.unstored,
            ),
            (
                "asked_twice_crashed",
                "  the database was crashed",
                asked.crashed,
            ),
            (
                "crossed_on_the_way",
                "crossed a human on the way",
                verdict.crossed_on_the_way,
            ),
            ("gladly_calls", "calls to Gladly", self.gladly_calls),
            (
                "rate_limited",
                "of these over its rate limit",
                self.rate_limited,
            ),
            ("questions", "questions to Gleen", self.questions),
            ("kills", "kills", self.kills),
            ("crashes", "crashes of the database", self.crashes),
            ("slowest_ms", "slowest outcome, ms", slowest),
        ]
    }

    /// The same as figures of one round.
    pub fn section(&self) -> Section {
        let mut section = Section::new("chaos");
        for (key, words, count) in self.lines().into_iter().flat_map(|(_, lines)| lines) {
            section.add(key, words, "", crate::bench::count(count));
        }
        section
    }
}

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, seconds) = (self.plan.seed, self.took.as_secs());
        writeln!(f, "chaos   (seed {seed}, {seconds} s)")?;
        for (heading, lines) in self.lines() {
            if !heading.is_empty() {
                writeln!(f, "{heading}")?;
            }
            for (_, words, count) in lines {
                writeln!(f, "  {words:<36}{count:>8}")?;
            }
        }
        f.write_str(if self.holds() {
            "every promise held"
        } else if self.verdict.promised() == 0 {
            "NOTHING WAS PROMISED: no message had an outcome"
        } else {
            "A PROMISE WAS BROKEN"
        })
    }
}
