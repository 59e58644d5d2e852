//! The decisions, in tables.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::conversation::AsOf;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn bot() -> Bot {
    Bot {
        ai_inbox_id: InboxId::parse("ai").unwrap(),
        agent_id: AgentId::parse("bot").unwrap(),
    }
}

fn holder(inbox: Option<&str>, agent: Option<&str>) -> Holder {
    Holder {
        inbox_id: inbox.map(|inbox| InboxId::parse(inbox).unwrap()),
        agent_id: agent.map(|agent| AgentId::parse(agent).unwrap()),
    }
}

fn known(held: i64, status: Option<(Status, i64)>, handed_off_at: Option<i64>) -> Known {
    Known {
        holder: Some(AsOf {
            value: holder(Some("ai"), None),
            at: at(held),
        }),
        status: status.map(|(value, seconds)| AsOf {
            value,
            at: at(seconds),
        }),
        handed_off_at: handed_off_at.map(at),
        ..Known::default()
    }
}

fn chat(text: &str) -> Gathered {
    Gathered {
        by_customer: true,
        content_type: "CHAT_MESSAGE".to_owned(),
        text: text.to_owned(),
        from: String::new(),
        subject: String::new(),
        attachments: Vec::new(),
        readable: true,
    }
}

#[test]
fn the_conversation_is_the_bots_while_open_in_its_inbox_and_nobody_elses() {
    let cases = [
        (holder(Some("ai"), None), Status::Open, Ok(())),
        (holder(Some("ai"), Some("bot")), Status::Open, Ok(())),
        (holder(Some("ai"), None), Status::Unclear, Ok(())),
        (
            holder(Some("ai"), Some("ada")),
            Status::Open,
            Err(SkipReason::HumanAssigned),
        ),
        (
            holder(Some("humans"), None),
            Status::Open,
            Err(SkipReason::NotAiInbox),
        ),
        (
            holder(Some("humans"), Some("bot")),
            Status::Open,
            Err(SkipReason::NotAiInbox),
        ),
        (
            holder(None, None),
            Status::Open,
            Err(SkipReason::NotAiInbox),
        ),
        (
            holder(Some("ai"), None),
            Status::Closed,
            Err(SkipReason::Closed),
        ),
    ];
    for (holder, status, expected) in cases {
        assert_eq!(
            whose(&bot(), &holder, status),
            expected,
            "{holder:?} {status:?}"
        );
    }
}

#[test]
fn what_is_old_unclear_or_just_handed_off_is_looked_at() {
    let cases = [
        (known(0, None, None), 0, false, "fresh"),
        (known(0, None, None), 15, false, "still fresh"),
        (known(0, None, None), 16, true, "old"),
        (known(0, Some((Status::Open, -100)), None), 1, false, "open"),
        (
            known(0, Some((Status::Unclear, -1)), None),
            1,
            false,
            "changed before the message",
        ),
        (
            known(0, Some((Status::Unclear, 1)), None),
            2,
            true,
            "changed after it, but to what",
        ),
        (
            known(0, Some((Status::Closed, -1)), None),
            1,
            true,
            "closed before the message",
        ),
        (
            known(0, Some((Status::Closed, 1)), None),
            1,
            false,
            "closed after the message",
        ),
        (known(0, None, Some(-5)), 1, true, "handed off just before"),
        (
            known(0, None, Some(-60)),
            1,
            false,
            "handed off long before",
        ),
        (
            known(0, None, Some(5)),
            6,
            false,
            "handed off after: no doubt",
        ),
        (Known::default(), 0, true, "nothing known"),
    ];
    for (known, now, expected, what) in cases {
        assert_eq!(needs_look(&known, at(0), at(now)), expected, "{what}");
    }
}

#[test]
fn after_the_relays_own_handoff_the_reason_says_so() {
    let mut known = known(0, None, Some(0));
    known.holder = Some(AsOf {
        value: holder(Some("humans"), None),
        at: at(0),
    });
    assert_eq!(whose_by_known(&bot(), &known), Err(SkipReason::HandedOff));
    known.holder = Some(AsOf {
        value: holder(Some("humans"), None),
        at: at(60),
    });
    assert_eq!(whose_by_known(&bot(), &known), Err(SkipReason::NotAiInbox));
}

#[test]
fn the_first_row_that_fits_decides() {
    let policy = Policy {
        max_turns: 5,
        ..Policy::default()
    };
    let history = |replies, repeated| History {
        replies,
        repetition: Repetition {
            digest: None,
            count: repeated,
        },
        ..History::default()
    };
    let by_agent = Gathered {
        by_customer: false,
        ..chat("hi")
    };
    let voicemail = Gathered {
        content_type: "VOICEMAIL".to_owned(),
        ..chat("")
    };
    let automated = Gathered {
        content_type: "EMAIL".to_owned(),
        from: "mailer-daemon@example.com".to_owned(),
        subject: "Undeliverable: hello".to_owned(),
        ..chat("failed")
    };
    let cases = [
        (vec![], 0, 0, "not_customer"),
        (vec![by_agent.clone()], 0, 0, "not_customer"),
        (vec![by_agent.clone(), chat("hello")], 0, 0, "ask"),
        (vec![chat(" ")], 0, 0, "unsupported_content"),
        (vec![chat("hello"), voicemail], 0, 0, "unsupported_content"),
        (vec![automated], 0, 0, "automated_email"),
        (vec![chat("agent please")], 9, 9, "customer_requested"),
        (vec![chat("hello")], 9, 3, "loop_suspected"),
        (vec![chat("hello")], 5, 2, "turn_limit"),
        (vec![chat("hello")], 4, 2, "ask"),
    ];
    for (messages, replies, repeated, expected) in cases {
        let decided = match decide(&policy, &messages, &history(replies, repeated)) {
            Decision::Ask { .. } => "ask",
            Decision::HandOff(reason) => reason.as_str(),
            Decision::Skip(reason) => reason.as_str(),
        };
        assert_eq!(decided, expected);
    }
}

#[test]
fn a_burst_is_one_question_in_order_answered_at_its_latest_message() {
    let messages = [
        chat("first"),
        chat(""),
        chat("second"),
        Gathered {
            by_customer: false,
            ..chat("Ada")
        },
    ];
    match decide(&Policy::default(), &messages, &History::default()) {
        Decision::Ask {
            question, reply_to, ..
        } => {
            assert_eq!((question.as_str(), reply_to), ("first\nsecond", 2));
        }
        _ => panic!("not asked"),
    }
}

#[test]
fn a_repetition_counts_texts_in_a_row_and_forgets_at_another() {
    let count = |texts: &[&str]| {
        let messages: Vec<Gathered> = texts.iter().map(|text| chat(text)).collect();
        repetition(&Repetition::default(), &messages, "c").count
    };
    assert_eq!(count(&["a", "a", "a"]), 3);
    assert_eq!(
        count(&["a", " A ", "a"]),
        3,
        "letter case and blanks don't matter"
    );
    assert_eq!(count(&["a", "a", "b"]), 1);
    assert_eq!(count(&["a", "", "a"]), 2, "what has no text is passed over");
    let one = repetition(&Repetition::default(), &[chat("a")], "one");
    let other = repetition(&Repetition::default(), &[chat("a")], "other");
    assert_ne!(
        one.digest, other.digest,
        "the digest alone does not tell the text"
    );
}

#[test]
fn waits_double_up_to_a_bound_and_end_after_a_day() {
    let policy = Policy::default();
    let waits: Vec<u128> = [0, 1, 2, 3, 10, 1_000]
        .iter()
        .map(|n| backoff(&policy, *n, 1.0).as_millis())
        .collect();
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 300_000, 300_000]);
    assert_eq!(
        backoff(&policy, 0, 0.0),
        Duration::from_millis(250),
        "jitter takes up to half"
    );
    let next = |since: Option<i64>, after| next_try(&policy, 0, since.map(at), after, 1.0, at(0));
    assert_eq!(
        next(None, None),
        NextTry::At(later(at(0), Duration::from_millis(500)))
    );
    assert_eq!(next(None, Some(Duration::from_secs(7))), NextTry::At(at(7)));
    assert_eq!(
        next(None, Some(Duration::from_hours(48))),
        NextTry::At(at(600)),
        "within bounds"
    );
    assert_eq!(
        next(Some(-86_399), None),
        NextTry::At(later(at(0), Duration::from_millis(500)))
    );
    assert_eq!(next(Some(-86_400), None), NextTry::GiveUp);
}

#[test]
fn ones_own_words_are_found_after_the_customers_item_only() {
    let ids: Vec<ItemId> = ["i0", "i1", "i2", "i3"]
        .iter()
        .map(|id| ItemId::parse(id).unwrap())
        .collect();
    let item = |index: usize, by_customer, same_words| Seen {
        id: &ids[index],
        by_customer,
        same_words,
    };
    let items = [
        item(0, false, true),
        item(1, true, true),
        item(2, false, false),
        item(3, false, true),
    ];
    let search = |items, after: usize, taken: &[ItemId]| find_sent(items, &ids[after], taken);
    assert_eq!(search(&items, 1, &[]), Search::Found(ids[3].clone()));
    assert_eq!(
        search(&items, 1, &[ids[3].clone()]),
        Search::NotThere,
        "another part"
    );
    assert_eq!(search(&items[..3], 1, &[]), Search::NotThere);
    assert_eq!(search(&items, 3, &[]), Search::NotThere);
    assert_eq!(
        search(&items[2..], 1, &[]),
        Search::Unclear,
        "the question is not listed"
    );
}

/// Made once: its patterns take a while to compile.
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    max_question_length: 100,
    ..Policy::default()
});

proptest! {
    #[test]
    fn no_wait_is_longer_than_its_bound(attempts: u32, random: f64) {
        let wait = backoff(&POLICY, attempts, random);
        prop_assert!(wait <= Duration::from_mins(5));
    }

    #[test]
    fn a_question_never_exceeds_its_bound(texts in proptest::collection::vec(".{0,300}", 1..5)) {
        let messages: Vec<Gathered> = texts.iter().map(|text| chat(text)).collect();
        if let Decision::Ask { question, .. } = decide(&POLICY, &messages, &History::default()) {
            prop_assert!(question.chars().count() <= 100);
        }
    }
}
