//! A report on a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{Figures, Histogram, Report, Share};
use crate::explain::{duration, safe};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        writeln!(text, "{}", self.title())?;
        writeln!(text, "In brackets: the same time before that.")?;
        writeln!(text)?;
        self.write_turns(&mut text)?;
        writeln!(text)?;
        self.write_conversations(&mut text)?;
        writeln!(text)?;
        self.write_times(&mut text)?;
        if self.accounts.len() > 1 {
            writeln!(text)?;
            let rows = self.accounts.iter();
            let rows = rows.map(|(account, figures)| (account.to_string(), figures));
            write_table(&mut text, "account", rows)?;
        }
        writeln!(text)?;
        let rows = self.days.iter().map(|((day, account), figures)| {
            let of_many = self.accounts.len() > 1;
            let name = if of_many {
                format!("{day} {account}")
            } else {
                day.clone()
            };
            (name, figures)
        });
        write_table(&mut text, "day (UTC)", rows)?;
        for line in text.lines() {
            writeln!(f, "{}", safe(line).trim_end())?;
        }
        Ok(())
    }
}

impl Report {
    fn write_turns(&self, text: &mut String) -> fmt::Result {
        let (now, before) = (&self.all, &self.before);
        let mut line =
            |name: &str, now: i64, before: i64| writeln!(text, "{name:<42} {now:>9}  ({before})");
        line("messages of customers", now.messages, before.messages)?;
        line(
            "turns (messages dealt with together)",
            now.turns(),
            before.turns(),
        )?;
        line("  answered by the bot", now.replied, before.replied)?;
        line("  handed to humans", now.handovers(), before.handovers())?;
        for (reason, now, before) in both(&now.handed_off, &before.handed_off) {
            line(&format!("    {reason}"), now, before)?;
        }
        line("  left alone", now.left_alone(), before.left_alone())?;
        for (reason, now, before) in both(&now.skipped, &before.skipped) {
            line(&format!("    {reason}"), now, before)?;
        }
        line("  dead letters nobody has retried", now.dead, before.dead)?;
        line(
            "messages that only the sweep found",
            now.recovered,
            before.recovered,
        )
    }

    fn write_conversations(&self, text: &mut String) -> fmt::Result {
        let (now, before) = (&self.all, &self.before);
        writeln!(text, "Conversations, each from its opening to its closing:")?;
        let mut line = |name: &str, of: &dyn Fn(&Figures) -> Share, what: &str| {
            let (now, before) = (share(of(now)), share(of(before)));
            writeln!(text, "{name:<20} {now}  ({before})\n{:<20} {what}", "")
        };
        line(
            "involvement",
            &Figures::involvement,
            "the bot was asked, of those with a message that it could answer",
        )?;
        line(
            "answered",
            &Figures::answer_rate,
            "the bot answered, of those in which it was asked",
        )?;
        line(
            "containment",
            &Figures::containment,
            "closed after the bot's answer before any human had it, of those in which it was asked",
        )?;
        line(
            "durable containment",
            &Figures::durable_containment,
            "… and did not go on within 7 days",
        )?;
        line(
            "automation",
            &Figures::automation,
            "closed so, of those with a message that the bot could answer",
        )
    }

    fn write_times(&self, text: &mut String) -> fmt::Result {
        let (now, before) = (&self.all, &self.before);
        for (name, now, before) in [
            (
                "time to the bot's answer",
                &now.to_answer,
                &before.to_answer,
            ),
            ("time to a human", &now.to_human, &before.to_human),
        ] {
            writeln!(text, "{name:<26} {}  ({})", times(now), times(before))?;
        }
        let (average, most) = (now.limit_used(), now.limit_used_at_most());
        if let (Some(average), Some(most)) = (average, most) {
            writeln!(
                text,
                "{:<26} {} on average, {} in the busiest hour ({} calls)",
                "Gladly's limit, by turns",
                percent(average),
                percent(most),
                now.calls
            )?;
        }
        Ok(())
    }
}

/// The words of both, with what each has.
fn both<'a>(
    now: &'a BTreeMap<String, i64>,
    before: &'a BTreeMap<String, i64>,
) -> impl Iterator<Item = (&'a str, i64, i64)> {
    let of = |counts: &BTreeMap<String, i64>, word: &str| counts.get(word).copied().unwrap_or(0);
    let more = before.keys().filter(|word| !now.contains_key(*word));
    let words = now.keys().chain(more);
    words.map(move |word| (word.as_str(), of(now, word), of(before, word)))
}

fn share(share: Share) -> String {
    let Share {
        numerator,
        denominator,
    } = share;
    let rate = share.rate().map(percent);
    let rate = rate.unwrap_or_else(|| "too few to tell".to_owned());
    format!("{rate}, {numerator} of {denominator}")
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

fn times(histogram: &Histogram) -> String {
    let (count, median) = (histogram.count(), histogram.median());
    let Some(median) = median else {
        return format!("too few to tell, {count}");
    };
    let p95 = histogram.p95().map_or(String::new(), |p95| {
        format!(", 95 of 100 within {}", duration(p95))
    });
    format!("half within {}{p95}, of {count}", duration(median))
}

fn write_table<'a>(
    text: &mut String,
    name: &str,
    rows: impl Iterator<Item = (String, &'a Figures)>,
) -> fmt::Result {
    let head = [
        "messages",
        "turns",
        "answered",
        "to humans",
        "left alone",
        "dead",
    ];
    let rows: Vec<(String, &Figures)> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default().max(name.len());
    write!(text, "{name:<width$}")?;
    for column in head {
        write!(text, "  {column:>10}")?;
    }
    writeln!(text, "  {:>10}  {:>10}", "median", "95 of 100")?;
    for (name, figures) in rows {
        write!(text, "{name:<width$}")?;
        for count in [
            figures.messages,
            figures.turns(),
            figures.replied,
            figures.handovers(),
            figures.left_alone(),
            figures.dead,
        ] {
            write!(text, "  {count:>10}")?;
        }
        let cell = |length: Option<Duration>| length.map_or("-".to_owned(), duration);
        let (median, p95) = (figures.to_answer.median(), figures.to_answer.p95());
        writeln!(text, "  {:>10}  {:>10}", cell(median), cell(p95))?;
    }
    Ok(())
}
