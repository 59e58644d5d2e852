//! A report as CSV: a line for each day and account (RFC 4180).

use super::{Figures, Report};
use crate::outcome::{HandoffReason, SkipReason};

impl Report {
    /// All days, with the names of the columns first.
    pub fn to_csv(&self) -> String {
        let mut columns: Vec<String> = ["day_utc", "account"].map(str::to_owned).into();
        let names = cells(&Figures::default());
        columns.extend(names.into_iter().map(|(name, _)| name));
        let mut lines = vec![columns.join(",")];
        for ((day, account), figures) in &self.days {
            let mut line = vec![day.clone(), quoted(account.as_str())];
            line.extend(cells(figures).into_iter().map(|(_, value)| value));
            lines.push(line.join(","));
        }
        lines.join("\r\n") + "\r\n"
    }
}

fn cells(figures: &Figures) -> Vec<(String, String)> {
    let number = |name: &str, value: i64| (name.to_owned(), value.to_string());
    let ms = |name: &str, value: Option<std::time::Duration>| {
        let value = value.map(|length| length.as_millis().to_string());
        (name.to_owned(), value.unwrap_or_default())
    };
    let mut cells = vec![
        number("messages", figures.messages),
        number("turns", figures.turns()),
        number("replied", figures.replied),
        number("handed_off", figures.handovers()),
        number("skipped", figures.left_alone()),
        number("dead", figures.dead),
        number("conversations_with_a_message", figures.with_a_message),
        number("conversations_involved", figures.involved),
        number("conversations_answered", figures.answered),
        number("conversations_contained", figures.contained),
        number("conversations_reopened", figures.reopened),
        number("recovered_by_sweep", figures.recovered),
        number("gladly_calls", figures.calls),
        ms("answer_p50_ms", figures.to_answer.median()),
        ms("answer_p95_ms", figures.to_answer.p95()),
        ms("human_p50_ms", figures.to_human.median()),
        ms("human_p95_ms", figures.to_human.p95()),
    ];
    for reason in HandoffReason::ALL {
        let count = figures.handed_off.get(reason.as_str());
        let name = format!("handed_off_{reason}");
        cells.push(number(&name, count.copied().unwrap_or_default()));
    }
    for reason in SkipReason::ALL {
        let count = figures.skipped.get(reason.as_str());
        let name = format!("skipped_{reason}");
        cells.push(number(&name, count.copied().unwrap_or_default()));
    }
    cells
}

/// A name that a spreadsheet takes for a name, and not for a formula.
fn quoted(name: &str) -> String {
    let formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let apostrophe = if formula { "'" } else { "" };
    format!("\"{apostrophe}{}\"", name.replace('"', "\"\""))
}
