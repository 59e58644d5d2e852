//! The decisions, in tables.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn item(content: &serde_json::Value) -> Item {
    let value = json!({"id": "i", "initiator": {"type": "CUSTOMER"}, "content": content});
    Item::read(&value).unwrap()
}

fn read_item(item: &Item) -> Content {
    Reader::default().read(&POLICY, item, "acme/c")
}

fn chat(text: &str) -> Content {
    read_item(&item(&json!({"type": "CHAT_MESSAGE", "content": text})))
}

fn decide_on(policy: &Policy, contents: &[Content], known: &Known, repeated: u32) -> Decision {
    let repetition = Repetition {
        count: repeated,
        ..Repetition::default()
    };
    decide(policy, contents, known, &repetition, Timestamp::UNIX_EPOCH)
}

#[test]
fn the_first_row_that_fits_decides() {
    let policy = Policy {
        max_turns: 5,
        ..POLICY.clone()
    };
    let known = |replies: u32| {
        let mut known = Known::default();
        (0..replies).for_each(|_| known.count_reply(Timestamp::UNIX_EPOCH));
        known
    };
    let by_agent = Content {
        by_customer: false,
        ..chat("hi")
    };
    let voicemail = read_item(&item(&json!({"type": "VOICEMAIL"})));
    let automated = read_item(&item(&json!({"type": "EMAIL", "content": "failed",
        "from": "mailer-daemon@example.com", "subject": "Undeliverable: hello"})));
    let cases = [
        (vec![], 0, 0, "not_customer"),
        (vec![by_agent.clone()], 0, 0, "not_customer"),
        (vec![by_agent.clone(), chat("hello")], 0, 0, "ask"),
        (vec![chat(" ")], 0, 0, "unsupported_content"),
        (vec![Content::unreadable()], 0, 0, "unsupported_content"),
        (vec![chat("hello"), voicemail], 0, 0, "unsupported_content"),
        (vec![automated], 0, 0, "automated_email"),
        (vec![chat("agent please")], 9, 9, "customer_requested"),
        (vec![chat("hello")], 9, 3, "loop_suspected"),
        (vec![chat("hello")], 5, 2, "turn_limit"),
        (vec![chat("hello")], 4, 2, "ask"),
    ];
    for (contents, replies, repeated, expected) in cases {
        let decided = match decide_on(&policy, &contents, &known(replies), repeated) {
            Decision::Ask { .. } => "ask",
            Decision::HandOff(reason) => reason.as_str(),
            Decision::Skip(reason) => reason.as_str(),
        };
        assert_eq!(decided, expected);
    }
}

#[test]
fn a_burst_is_one_question_in_order_answered_at_its_latest_message() {
    let by_agent = Content {
        by_customer: false,
        ..chat("Ada")
    };
    let contents = [chat("first"), chat(""), chat("second"), by_agent];
    match decide_on(&POLICY, &contents, &Known::default(), 0) {
        Decision::Ask {
            question, reply_to, ..
        } => assert_eq!((question.as_str(), reply_to), ("first\nsecond", 2)),
        _ => panic!("not asked"),
    }
}

/// Texts in items of their own.
fn numbered(texts: &[&str]) -> Vec<(ItemId, Content)> {
    let item_id = |number| ItemId::parse(&format!("i{number}")).unwrap();
    let texts = texts.iter().enumerate();
    texts
        .map(|(number, text)| (item_id(number), chat(text)))
        .collect()
}

#[test]
fn an_item_that_is_read_again_is_no_repetition() {
    let items = numbered(&["a", "a"]);
    let once = repetition(&Repetition::default(), &items);
    assert_eq!(repetition(&once, &items), once);
    let more = numbered(&["a", "a", "a"]);
    assert_eq!(repetition(&once, &more).count, 3);
}

#[test]
fn a_repetition_counts_texts_in_a_row_and_forgets_at_another() {
    let count = |texts: &[&str]| repetition(&Repetition::default(), &numbered(texts)).count;
    assert_eq!(count(&["a", "a", "a"]), 3);
    assert_eq!(
        count(&["a", " A ", "a"]),
        3,
        "letter case and blanks don't matter"
    );
    assert_eq!(count(&["a", "a", "b"]), 1);
    assert_eq!(count(&["a", "", "a"]), 2, "what has no text is passed over");
    let here = digest("a", "one");
    assert_ne!(here, digest("a", "other"), "the digest alone tells no text");
}

#[test]
fn the_more_text_a_turn_has_the_less_is_looked_at_of_what_follows() {
    let long = item(&json!({"type": "CHAT_MESSAGE", "content": "x".repeat(300_000)}));
    let policy = Policy {
        max_question_length: 1_000_000,
        ..POLICY.clone()
    };
    let mut reader = Reader::default();
    let mut lengths = (0..6).map(|_| reader.read(&policy, &long, "").words.len());
    let expected = [50_000, 50_000, 50_000, 50_000, 1_000, 1_000];
    assert!(
        expected
            .into_iter()
            .all(|length| lengths.next() == Some(length))
    );
}

#[test]
fn waits_double_up_to_a_bound() {
    let policy = Policy::default();
    let waits: Vec<u128> = [0, 1, 2, 3, 10, 1_000]
        .iter()
        .map(|failures| wait_after(&policy, *failures, None, 1.0).as_millis())
        .collect();
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 300_000, 300_000]);
    assert_eq!(
        wait_after(&policy, 0, None, 0.0),
        Duration::from_millis(250),
        "jitter takes up to half"
    );
    let asked = |seconds| wait_after(&policy, 0, Some(Duration::from_secs(seconds)), 1.0);
    assert_eq!(asked(7), Duration::from_secs(7));
    assert_eq!(asked(172_800), Duration::from_mins(10), "within bounds");
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

#[test]
fn what_waits_in_a_conversation_is_the_customers_last_item_that_nobody_has_answered() {
    let entry = |id: &str, by: &str, kind: &str| {
        let value = json!({"id": id, "initiator": {"type": by}, "content": {"type": kind}});
        Item::read(&value).unwrap()
    };
    let customer = |id| entry(id, "CUSTOMER", "CHAT_MESSAGE");
    let note = entry("n", "API", "CONVERSATION_NOTE");
    let answer = entry("a", "AGENT", "CHAT_MESSAGE");
    let mut settled = Known::default();
    settled.settle([ItemId::parse("c1").unwrap()]);
    let new = Known::default();
    let cases = [
        (vec![], &new, Unanswered::Nothing),
        (vec![answer.clone()], &new, Unanswered::Nothing),
        (vec![customer("c1")], &new, Unanswered::Item(0)),
        (
            vec![customer("c1"), note.clone()],
            &new,
            Unanswered::Item(0),
        ),
        (
            vec![customer("c1"), answer.clone()],
            &new,
            Unanswered::Answered,
        ),
        (
            vec![customer("c1"), note.clone()],
            &settled,
            Unanswered::Answered,
        ),
        (
            vec![customer("c1"), customer("c2")],
            &settled,
            Unanswered::Item(1),
        ),
    ];
    for (items, known, expected) in cases {
        assert_eq!(last_unanswered(&items, known), expected, "{items:?}");
    }
}

#[test]
fn a_message_has_its_answer_if_an_agent_wrote_or_the_bot_dealt_with_something_since() {
    let entry = |id: &str, by: &str| {
        let entry = json!({"id": id, "conversationId": "c", "initiator": {"type": by},
            "content": {"type": "CHAT_MESSAGE", "content": "text"}});
        Item::read(&entry).unwrap()
    };
    let items = [
        entry("c1", "CUSTOMER"),
        entry("c2", "CUSTOMER"),
        entry("a", "API"),
        entry("c3", "CUSTOMER"),
    ];
    let id = |id: &str| ItemId::parse(id).unwrap();
    for (settled, answered) in [
        (None, [false, false, false]),
        (Some("c1"), [true, false, false]),
        (Some("c2"), [true, true, false]),
        (Some("c3"), [true, true, true]),
        (Some("elsewhere"), [false, false, false]),
    ] {
        let mut known = Known::default();
        known.settle(settled.map(id));
        let found = ["c1", "c2", "c3"].map(|item| answered_since(&items, &id(item), &known));
        assert_eq!(found, answered, "{settled:?}");
    }
    let known = Known::default();
    let by_agent = [items[0].clone(), entry("h", "AGENT"), items[3].clone()];
    let found = ["c1", "c3", "missing"].map(|item| answered_since(&by_agent, &id(item), &known));
    assert_eq!(found, [true, false, false]);
}

/// Made once: its patterns take a while to compile.
static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    max_question_length: 100,
    ..Policy::default()
});

proptest! {
    #[test]
    fn no_wait_is_longer_than_its_bound(failures: u32, random: f64) {
        let wait = wait_after(&POLICY, failures, None, random);
        prop_assert!(wait <= Duration::from_mins(5));
    }

    #[test]
    fn a_question_never_exceeds_its_bound(texts in proptest::collection::vec(".{0,300}", 1..5)) {
        let contents: Vec<Content> = texts.iter().map(|text| chat(text)).collect();
        let decision = decide_on(&POLICY, &contents, &Known::default(), 0);
        if let Decision::Ask { question, .. } = decision {
            prop_assert!(question.chars().count() <= 100);
        }
    }
}
