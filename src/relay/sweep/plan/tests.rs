use super::*;
use serde_json::json;

fn at(minute: u64) -> Timestamp {
    let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    later(start, Duration::from_mins(minute))
}

const MINUTE: Duration = Duration::from_mins(1);
const DAY: u64 = 24 * 60;

#[test]
fn what_is_read_begins_before_the_last_and_goes_no_further_back_than_gladly() {
    let now = 2 * DAY;
    let lost = |minutes| Some(minutes * MINUTE);
    for (swept_until, from, expected) in [
        (None, now - 2, None),
        (Some(now - 5), now - 7, None),
        (Some(now), now - 2, None),
        // A clock was ahead.
        (Some(now + 60), now - 2, None),
        (Some(DAY + 3), DAY + 1, None),
        (Some(DAY + 1), DAY + 1, None),
        (Some(DAY), DAY + 1, lost(1)),
        (Some(30), DAY + 1, lost(u32::try_from(DAY - 29).unwrap())),
    ] {
        let span = span(swept_until.map(at), at(now));
        assert_eq!(span.from, at(from), "{swept_until:?}");
        assert_eq!(
            (span.until, span.lost),
            (at(now), expected),
            "{swept_until:?}"
        );
    }
}

#[test]
fn a_span_is_read_in_slices_to_its_end() {
    let span = Span {
        from: at(0),
        until: at(150),
        lost: None,
    };
    let hour = Duration::from_hours(1);
    for (from, until) in [(0, 60), (60, 120), (120, 150), (150, 150)] {
        assert_eq!(span.slice_from(at(from), hour), at(until));
    }
}

#[test]
fn the_time_for_an_answer_counts_from_when_the_customer_wrote() {
    let (now, deadline) = (at(10), MINUTE);
    let seconds = Duration::from_secs;
    let raised = |ago| Some(earlier(now, seconds(ago)));
    for (happened_at, all, expected) in [
        (raised(0), false, Find::Leave),
        (raised(9), false, Find::Leave),
        (raised(0), true, Find::Within(seconds(60))),
        (raised(9), true, Find::Within(seconds(51))),
        (raised(10), false, Find::Within(seconds(50))),
        (raised(59), false, Find::Within(seconds(1))),
        (raised(60), false, Find::Overdue),
        (raised(86_400), true, Find::Overdue),
        (Some(at(11)), true, Find::Within(seconds(60))),
        (None, false, Find::Overdue),
    ] {
        assert_eq!(
            find(happened_at, now, deadline, all),
            expected,
            "{happened_at:?}"
        );
    }
}

#[test]
fn only_a_webhook_that_gladly_switched_off_is_to_be_switched_on() {
    let url: Url = "https://relay.example.com/webhooks/gladly".parse().unwrap();
    let shown = |url: &str, enabled: bool, off_at: Option<&str>| {
        let mut shown = json!({ "id": "w", "url": url, "events": [], "enabled": enabled });
        if let Some(at) = off_at {
            shown["disabledAtDueToRetryLimit"] = json!(at);
        }
        Registration::read_all(&json!([shown])).unwrap()
    };
    let off = Webhook::SwitchedOff { id: "w", at: "t" };
    for (address, enabled, off_at, expected) in [
        (url.as_str(), true, None, Webhook::On),
        (url.as_str(), true, Some("t"), Webhook::On),
        (url.as_str(), false, Some("t"), off),
        (url.as_str(), false, None, Webhook::OffByHand),
        (
            "https://else.example.com/",
            false,
            Some("t"),
            Webhook::Missing,
        ),
    ] {
        let all = shown(address, enabled, off_at);
        assert_eq!(
            webhook(&all, &url),
            expected,
            "{address} {enabled} {off_at:?}"
        );
    }
    assert_eq!(webhook(&[], &url), Webhook::Missing);
}

#[test]
fn the_next_sweep_comes_an_interval_later_or_sooner_where_that_helps() {
    let interval = Duration::from_mins(5);
    let mut rhythm = Rhythm::new(interval);
    let seconds = Duration::from_secs;
    for (came, random, expected) in [
        (Came::Well, 0.0, interval),
        (Came::Well, 1.0, seconds(330)),
        (Came::Refused, 0.0, interval),
        (Came::Repaired, 0.0, seconds(20)),
        // What is switched off at once again is not fought over.
        (Came::Repaired, 0.0, interval),
        (Came::Repaired, 0.0, seconds(20)),
        (Came::Failed, 0.0, seconds(15)),
        (Came::Failed, 0.0, seconds(30)),
        (Came::Failed, 1.0, seconds(90)),
        (Came::Failed, 0.0, seconds(120)),
        (Came::Failed, 0.0, seconds(240)),
        (Came::Failed, 0.0, interval),
        (Came::Well, 0.0, interval),
        (Came::Failed, 0.0, seconds(15)),
    ] {
        assert_eq!(rhythm.wait(came, random), expected, "{came:?}");
    }
    let mut quick = Rhythm::new(seconds(1));
    for came in [Came::Repaired, Came::Failed, Came::Failed] {
        assert_eq!(quick.wait(came, 0.0), seconds(1), "{came:?}");
    }
}

#[test]
fn a_sweep_that_fails_asks_for_less_and_one_call_reads_an_interval() {
    let mut rhythm = Rhythm::new(Duration::from_mins(5));
    assert_eq!(rhythm.slice(), Duration::from_hours(1));
    let mut slices = Vec::new();
    for _ in 0..8 {
        rhythm.could_not_read();
        slices.push(rhythm.slice().as_secs());
    }
    assert_eq!(slices, [1_800, 900, 450, 225, 112, 60, 60, 60]);
    for _ in 0..8 {
        rhythm.read();
    }
    assert_eq!(rhythm.slice(), Duration::from_hours(1));
    let day = Duration::from_hours(24);
    let longest_wait = Rhythm::new(day).wait(Came::Well, 1.0);
    assert!(Rhythm::new(day).slice() > longest_wait + OVERLAP);
}
