//! What a run showed, in lines that a person reads and a script can.

use std::fmt;

use super::run::{Plan, Result};

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, verdict): (&Plan, _) = (&self.plan, &self.verdict);
        writeln!(
            f,
            "seed {}   ({} s, {} kills)",
            plan.seed,
            self.took.as_secs(),
            self.kills
        )?;
        let counts = [
            ("written", verdict.written),
            ("accepted", verdict.accepted),
            ("replied", verdict.replied),
            ("handed off", verdict.handed_off),
            ("skipped (a human had it)", verdict.skipped),
            ("dead", self.dead),
        ];
        for (name, count) in counts {
            writeln!(f, "  {name:<36}{count:>8}")?;
        }
        writeln!(f, "must be 0:")?;
        let promises = [
            ("lost", verdict.lost),
            ("answered twice", verdict.answered_twice),
            ("out of order", verdict.out_of_order),
            ("bot after human", verdict.bot_after_human),
            ("noted twice", verdict.noted_twice),
            ("later than the deadline and a retry", verdict.late),
        ];
        for (name, count) in promises {
            writeln!(f, "  {name:<36}{count:>8}")?;
        }
        writeln!(f, "for information:")?;
        writeln!(
            f,
            "  {:<36}{:>8}",
            "crossed a human on the way", verdict.crossed_on_the_way
        )?;
        writeln!(f, "  {:<36}{:>8}", "calls to Gladly", self.gladly_calls)?;
        writeln!(
            f,
            "  {:<36}{:>8}",
            "of these over its rate limit", self.rate_limited
        )?;
        writeln!(f, "  {:<36}{:>8}", "questions to Gleen", self.questions)?;
        writeln!(
            f,
            "  {:<36}{:>6} ms",
            "slowest outcome",
            verdict.slowest.as_millis()
        )?;
        write!(
            f,
            "{}",
            if self.holds() {
                "every promise held"
            } else {
                "A PROMISE WAS BROKEN"
            }
        )
    }
}
