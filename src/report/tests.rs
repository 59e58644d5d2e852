//! Figures over a known story.

use super::*;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::TotalKey;
use crate::store::totals::{FIRST_ANSWER, FIRST_MESSAGE, FIRST_QUESTION, bucket_of};

/// An hour at which a day begins.
const DAY: i64 = 24 * 20_000;

fn now() -> Timestamp {
    hour_begins(DAY + 30)
}

fn total(hour: i64, outcome: &Outcome, firsts: u8, ms: u64, count: i64) -> Total {
    let reason = match outcome {
        Outcome::Dead(_) => None,
        outcome => outcome.reason(),
    };
    let took = Duration::from_millis(ms);
    Total {
        key: TotalKey {
            hour,
            account: AccountName::new("acme"),
            what: outcome.as_str().to_owned(),
            reason: reason.unwrap_or_default().to_owned(),
            firsts,
            bucket: bucket_of(took),
        },
        count,
        messages: count * 2,
        calls: count * 3,
        per_second: 10,
    }
}

fn other(hour: i64, what: &str, count: i64) -> Total {
    let mut total = total(hour, &Outcome::Replied, 0, 0, count);
    what.clone_into(&mut total.key.what);
    Total {
        messages: 0,
        calls: 0,
        ..total
    }
}

const ALL: u8 = FIRST_MESSAGE | FIRST_QUESTION | FIRST_ANSWER;

fn story() -> Report {
    let handed_off = Outcome::HandedOff(HandoffReason::Deadline);
    let skipped = Outcome::Skipped(SkipReason::NotAiInbox);
    let dead = Outcome::Dead("it broke".to_owned());
    let totals = [
        total(DAY - 1, &Outcome::Replied, ALL, 1_000, 7),
        total(DAY + 8, &Outcome::Replied, ALL, 1_000, 60),
        total(DAY + 9, &Outcome::Replied, 0, 8_000, 40),
        total(DAY + 9, &handed_off, FIRST_MESSAGE, 60_000, 20),
        total(DAY + 29, &skipped, 0, 0, 5),
        total(DAY + 29, &dead, 0, 0, 3),
        total(DAY + 29, &dead, 0, 0, -1),
        other(DAY + 29, "contained", 30),
        other(DAY + 29, "reopened", 3),
        other(DAY + 29, "recovered", 4),
        other(DAY + 29, "of a newer version", 4),
    ];
    let span = Span::until(now(), Duration::from_hours(24));
    assert_eq!((span.from_hour, span.until_hour), (DAY + 7, DAY + 31));
    report(&totals, span, None)
}

#[test]
fn figures_are_what_they_say() {
    let story = story();
    let all = &story.all;
    assert_eq!((all.messages, all.turns(), all.replied), (254, 127, 100));
    assert_eq!((all.handovers(), all.expected_handovers()), (20, 0));
    assert_eq!((all.left_alone(), all.dead, all.recovered), (5, 2, 4));
    let shares = [
        all.involvement(),
        all.answer_rate(),
        all.containment(),
        all.durable_containment(),
        all.automation(),
    ];
    let shares = shares.map(|share| (share.numerator, share.denominator));
    assert_eq!(shares, [(60, 80), (60, 60), (30, 60), (27, 60), (30, 80)]);
    assert_eq!(all.containment().rate(), Some(0.5));
    let median = all.to_answer.median().unwrap().as_secs_f64();
    assert!((0.9..1.3).contains(&median), "{median}");
    let p95 = all.to_answer.p95().unwrap().as_secs_f64();
    assert!((7.5..9.6).contains(&p95), "{p95}");
    let used = all.limit_used_at_most().unwrap();
    assert!((used - 180.0 / 36_000.0).abs() < 1e-9, "{used}");
    assert_eq!(story.before.replied, 7);
    let days: Vec<&str> = story.days.keys().map(|(day, _)| day.as_str()).collect();
    assert_eq!(days, ["2024-10-04", "2024-10-05"]);
}

/// Two weeks of two accounts, each hour another.
fn two_weeks() -> Vec<Total> {
    let handed_off = Outcome::HandedOff(HandoffReason::BotError);
    let skipped = Outcome::Skipped(SkipReason::Closed);
    let mut totals = Vec::new();
    for (name, times) in [("acme", 1), ("beta", 3)] {
        for hour in DAY - 14 * 24..DAY + 24 {
            let count = (hour % 7 + hour % 24) * times + 1;
            let of_hour = [
                total(hour, &Outcome::Replied, ALL, 500, count),
                total(hour, &Outcome::Replied, 0, 9_000, 2),
                total(hour, &handed_off, FIRST_MESSAGE, 70_000, count / 5),
                total(hour, &skipped, 0, 0, 3),
                total(hour, &Outcome::Dead(String::new()), 0, 0, 1),
                other(hour, "contained", count / 2),
                other(hour, "reopened", 1),
                other(hour, "recovered", hour % 3),
            ];
            totals.extend(of_hour.into_iter().map(|mut total| {
                total.key.account = AccountName::new(name);
                total
            }));
        }
    }
    totals
}

#[test]
fn days_that_are_summed_up_tell_what_their_hours_tell() {
    let hours = two_weeks();
    let span = Span::until(hour_begins(DAY + 23), Duration::from_hours(7 * 24));
    let by_hours = report(&hours, span, None);
    let mut by_days = Vec::new();
    for ((_, account), day) in days::sum_up(&hours) {
        assert!(day.len() < 20, "{}", day.len());
        let value = days::value_of(day).unwrap();
        by_days.extend(days::of_value(&account, &value).unwrap());
    }
    let by_days = report(&by_days, span, None);
    assert!(by_hours.all.limit_used_at_most().is_some());
    assert_eq!(by_days.to_json(), by_hours.to_json());
    assert_eq!(by_days.to_csv(), by_hours.to_csv());
}

#[test]
fn too_few_are_called_so() {
    let few = &story().before;
    assert_eq!((few.replied, few.answer_rate().rate()), (7, None));
    assert_eq!(few.to_answer.p95(), None);
    assert!(few.to_answer.median().is_some());
    assert_eq!(Figures::default().limit_used(), None);
    let text = story().to_string();
    assert!(
        text.contains("50.0 %, 30 of 60  (too few to tell, 0 of 7)"),
        "{text}"
    );
}

#[test]
fn a_report_names_its_time_zone_and_each_of_its_shares() {
    let story = story();
    let text = story.to_string();
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "2024-10-04 07:00 to 2024-10-05 07:00 UTC (24 hours), all accounts"
    );
    for says in [
        "day (UTC)",
        "    deadline",
        "75.0 %, 60 of 80",
        "in the busiest hour",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let json = story.to_json();
    assert_eq!(json["time_zone"], "UTC");
    assert_eq!(json["total"]["rates"]["containment"]["denominator"], 60);
    assert_eq!(json["total"]["handed_off"]["by_reason"]["deadline"], 20);
    assert_eq!(json["before"]["rates"]["containment"]["too_few"], true);
    assert_eq!(json["days"].as_array().unwrap().len(), 2);
}

#[test]
fn every_line_of_the_csv_has_as_many_cells() {
    let mut story = story();
    let strange = AccountName::new("=cmd|\"x\",y");
    let figures = story.all.clone();
    story
        .days
        .insert(("2024-10-05".to_owned(), strange), figures);
    let csv = story.to_csv();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 4);
    let cells = lines[0].split(',').count();
    assert_eq!(lines[1].split(',').count(), cells);
    assert!(
        lines[2].starts_with("2024-10-05,\"'=cmd|\"\"x\"\",y\","),
        "{csv}"
    );
    assert!(lines[0].contains("handed_off_bot_error"));
}

#[test]
fn a_span_is_a_length_or_a_time() {
    let week = Span::parse("7d", now()).unwrap();
    assert_eq!(week.hours(), 168);
    let since = Span::parse("2024-10-05T00:30:00Z", now()).unwrap();
    assert_eq!(since.from_hour, DAY + 24);
    assert_eq!(Span::parse("1ms", now()).unwrap().hours(), 1);
    for wrong in ["", "yesterday", "-7d", "7"] {
        assert_eq!(Span::parse(wrong, now()), None, "{wrong}");
        assert_eq!(parse_since(wrong, now()), None, "{wrong}");
    }
}
