//! Each outcome in one plain sentence, and nothing that a terminal obeys.

use std::time::Duration;

use super::*;
use crate::id::ItemId;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::{Conversation, DeadLetterId, Lane, LaneTurn, Message, Past, Told, TurnEnd};
use crate::trace::{Came, Decision, Ended, Part, Reply};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn message(second: i64) -> Message {
    Message {
        item_id: ItemId::parse("i").unwrap(),
        written: crate::conversation::Written {
            heard: 1,
            happened_at: None,
        },
        received_at: at(second),
        deadline_at: at(second + 60),
        overdue: false,
    }
}

fn turn(end: Option<Outcome>, trace: &Trace) -> StoredTurn {
    StoredTurn {
        id: TurnId(7),
        account: AccountName::new("acme"),
        conversation_id: ConversationId::parse("c").unwrap(),
        received_at: at(0),
        deadline_at: at(60),
        messages: vec![message(0)],
        began: 1,
        state: None,
        words: None,
        retried: false,
        overdue: false,
        trace: Some(trace.to_store()),
        end: end.map(|outcome| TurnEnd { outcome, at: at(2) }),
    }
}

fn remembered(turns: Vec<StoredTurn>) -> Remembered {
    Remembered {
        account: AccountName::new("acme"),
        conversation_id: ConversationId::parse("c").unwrap(),
        conversation: Conversation::default(),
        merged_from: Vec::new(),
        turns: turns.into_iter().map(Ok).collect(),
        dead_letters: Vec::new(),
    }
}

fn trace(steps: impl IntoIterator<Item = What>) -> Trace {
    let mut trace = Trace::default();
    for (second, step) in (0..).zip(steps) {
        trace.push(at(second), step);
    }
    trace
}

fn told(outcome: Outcome, steps: impl IntoIterator<Item = What>) -> String {
    let turn = turn(Some(outcome), &trace(steps));
    explain(&remembered(vec![turn]), at(100)).summary
}

fn ended(inbox_id: &str, agent_id: &str) -> What {
    What::Ended(Ended {
        outcome: "skipped".to_owned(),
        reason: None,
        inbox_id: Some(inbox_id.to_owned()),
        agent_id: Some(agent_id.to_owned()),
    })
}

fn asked(answer: Option<Reply>) -> What {
    What::Asked {
        attempt: 1,
        thread_id: None,
        answer,
    }
}

fn answered() -> What {
    asked(Some(Reply::Answered {
        characters: 20,
        parts: 1,
        wants_human: false,
    }))
}

fn decided(reason: HandoffReason, detail: Option<&str>) -> What {
    What::Decided(Decision {
        reason,
        detail: detail.map(str::to_owned),
        messages: 1,
        attachments: 2,
        same_text: 3,
        replies: 5,
        replies_last_hour: 30,
    })
}

fn waits(why: &str) -> What {
    What::Waits {
        until: at(30),
        why: why.to_owned(),
    }
}

#[test]
fn every_handoff_says_why_in_plain_words() {
    for (reason, says) in [
        (HandoffReason::BotError, "the bot failed"),
        (HandoffReason::BotTimeout, "the bot did not answer in time"),
        (HandoffReason::BotNoAnswer, "the bot had no answer"),
        (
            HandoffReason::BotRequested,
            "the bot itself asked for a human",
        ),
        (
            HandoffReason::BreakerOpen,
            "failed too often just before, so it was not asked",
        ),
        (
            HandoffReason::CustomerRequested,
            "the customer asked for a human",
        ),
        (
            HandoffReason::UnsupportedContent,
            "nothing that the bot can read (2 files are attached)",
        ),
        (HandoffReason::AutomatedEmail, "a machine wrote the mail"),
        (
            HandoffReason::ReplyRejected,
            "the bot's answer could not be delivered",
        ),
        (HandoffReason::TurnLimit, "as often as it may (5 times)"),
        (
            HandoffReason::LoopSuspected,
            "two machines talking (the same text 3 times running, 30 bot answers within the hour)",
        ),
        (
            HandoffReason::Deadline,
            "there was no answer by the deadline",
        ),
    ] {
        let text = told(Outcome::HandedOff(reason), [decided(reason, None)]);
        let begins = "Handed to the humans 2.0 s after the message came: ";
        assert!(text.starts_with(begins) && text.contains(says), "{text}");
        assert!(text.ends_with('.') && !text.ends_with(".."), "{text}");
        assert!(!text.contains('_'), "{text}");
        // Of a turn of which nothing is kept, too.
        assert!(told(Outcome::HandedOff(reason), []).starts_with(begins));
    }
}

#[test]
fn a_handoff_says_what_failed_and_what_held_it_up() {
    let failed = asked(Some(Reply::Failed {
        error: "Gleen failed: status 500".to_owned(),
    }));
    let reason = HandoffReason::BotError;
    assert_eq!(
        told(Outcome::HandedOff(reason), [failed, decided(reason, None)]),
        "Handed to the humans 2.0 s after the message came: the bot failed (Gleen failed: status 500)."
    );
    let reason = HandoffReason::Deadline;
    let steps = [
        waits("get_item: status 503"),
        decided(reason, None),
        waits("assign: status 500"),
    ];
    let text = told(Outcome::HandedOff(reason), steps);
    assert!(
        text.contains("(held up by this: get_item: status 503)"),
        "{text}"
    );
    let detail = decided(
        reason,
        Some("More customers wrote than could be answered in time."),
    );
    let text = told(Outcome::HandedOff(reason), [detail]);
    assert!(text.ends_with("deadline. More customers wrote than could be answered in time."));
}

#[test]
fn every_skip_says_who_has_it_and_whether_an_answer_was_dropped() {
    use SkipReason::{AlreadyAnswered, Closed, HandedOff, HumanAssigned, NotAiInbox, NotCustomer};
    let held = "(inbox amys, agent amy)";
    for (reason, alone, dropped) in [
        (
            NotCustomer,
            "Left alone: nothing in it was written by a customer.".to_owned(),
            "",
        ),
        (
            NotAiInbox,
            format!("Left alone: another inbox held it {held} when the message came."),
            "The bot's answer was dropped: another inbox had it by then",
        ),
        (
            HumanAssigned,
            format!("Left alone: an agent held it {held} when the message came."),
            "The bot's answer was dropped: an agent had taken it by then",
        ),
        (
            Closed,
            "Left alone: the conversation was closed.".to_owned(),
            "The bot's answer was dropped: the conversation was closed by then",
        ),
        (
            HandedOff,
            format!("Left alone: the relay had given it to the humans already {held}."),
            "",
        ),
        (
            AlreadyAnswered,
            "Left alone: somebody had answered it before the relay got to it.".to_owned(),
            "",
        ),
    ] {
        let skipped = || Outcome::Skipped(reason);
        assert_eq!(told(skipped(), [ended("amys", "amy")]), alone);
        let text = told(skipped(), [answered(), ended("amys", "amy")]);
        assert!(text.starts_with(dropped), "{text}");
    }
}

#[test]
fn an_answer_says_how_long_it_took_and_a_dead_letter_what_to_do() {
    assert_eq!(
        told(Outcome::Replied, [answered()]),
        "Answered by the bot 2.0 s after the message came."
    );
    let died = turn(
        Some(Outcome::Dead("it broke".to_owned())),
        &Trace::default(),
    );
    let mut all = remembered(vec![died]);
    let settled = explain(&all, at(100)).summary;
    assert_eq!(
        settled,
        "Given up: it broke. A person has retried or dropped it since."
    );
    all.dead_letters.push(DeadLetter {
        id: DeadLetterId(3),
        account: AccountName::new("acme"),
        turn_id: Some(TurnId(7)),
        conversation_id: None,
        event_type: None,
        may_have_written: false,
        error: "it broke".to_owned(),
        created_at: at(2),
    });
    let told = explain(&all, at(100));
    assert!(
        told.summary
            .contains("`gladly-relay dead show 3` says what to do")
    );
    assert_eq!(told.turns[0].dead_letter, Some(3));
    let last = told.timeline.last().unwrap();
    assert_eq!((last.what.as_str(), last.is_bad), ("dead_letter", true));
}

#[test]
fn what_is_unfinished_says_what_it_waits_for() {
    let lane_turn = |run| LaneTurn {
        id: TurnId(7),
        received_at: at(0),
        run,
    };
    let unfinished = |run, now| {
        let mut all = remembered(vec![turn(None, &trace([waits("get_item: status 503")]))]);
        all.conversation.lane.turns = vec![lane_turn(run)];
        explain(&all, at(now)).summary
    };
    assert_eq!(
        unfinished(Run::Until(at(30)), 10),
        "It waits until 2026-01-01 00:00:30 UTC, because of this: get_item: status 503; its deadline is in 50.0 s."
    );
    assert!(unfinished(Run::Until(at(30)), 90).contains("See that the relay runs"));
    assert_eq!(
        unfinished(Run::By(crate::store::Runner(1)), 90),
        "It is being worked on again, after this: get_item: status 503; its deadline has passed."
    );
    let mut all = remembered(Vec::new());
    let nothing = explain(&all, at(5)).summary;
    assert!(nothing.contains("there was nothing to do"), "{nothing}");
    all.conversation.lane = Lane {
        waiting: vec![message(0), message(1)],
        ..Lane::default()
    };
    let waiting = explain(&all, at(5)).summary;
    let says = "2 messages wait for the relay to take it up, for 5.0 s by now";
    assert!(waiting.starts_with(says), "{waiting}");
    all.conversation.merged_into = ConversationId::parse("other").ok();
    assert!(
        explain(&all, at(5))
            .summary
            .starts_with("It was merged into other")
    );
}

#[test]
fn the_timeline_holds_events_and_steps_in_order_of_time() {
    let steps = trace([
        What::Claimed,
        asked(None),
        What::Claimed,
        answered(),
        What::Wrote {
            part: Part::Reply,
            attempt: 1,
            came: Some(Came::Done),
        },
        ended("ai", "none"),
    ]);
    let mut all = remembered(vec![turn(Some(Outcome::Replied), &steps)]);
    all.conversation.past = Past {
        told: vec![
            Told {
                at: at(-1),
                what: "CONTACT/MESSAGE_RECEIVED".to_owned(),
                by: By::Webhook,
            },
            Told {
                at: at(3),
                what: "CONVERSATION/CLOSED".to_owned(),
                by: By::Sweep,
            },
        ],
        ..Past::default()
    };
    let told = explain(&all, at(100));
    let whats: Vec<&str> = told
        .timeline
        .iter()
        .map(|entry| entry.what.as_str())
        .collect();
    assert_eq!(
        whats,
        [
            "event", "claimed", "asked", "claimed", "event", "asked", "wrote", "ended"
        ]
    );
    let text = told.to_string();
    assert!(
        text.contains("turn 7    asked the bot on a new thread: the relay stopped before"),
        "{text}"
    );
    assert!(text.contains("taken up: one message"), "{text}");
    assert!(text.contains("taken up again"), "{text}");
    assert!(
        text.contains("a sweep found what no webhook had brought: CONVERSATION/CLOSED"),
        "{text}"
    );
    let last = text.lines().last().unwrap();
    assert_eq!(last, "Answered by the bot 2.0 s after the message came.");
    let json = told.to_json();
    assert_eq!(json["timeline"][1]["what"], "claimed");
    assert_eq!(json["timeline"][1]["turn_id"], "7");
    assert_eq!(json["timeline"][1]["at"], "2026-01-01T00:00:00Z");
    assert_eq!(json["turns"][0]["took_ms"], 2_000);
}

#[test]
fn nothing_that_a_terminal_obeys_is_shown() {
    let strange = "a\u{1b}[2J\u{7}\u{202e}b\u{9b}c\rd";
    let steps = trace([What::Failed {
        call: crate::trace::Call::Fetch,
        error: strange.to_owned(),
    }]);
    let text = explain(&remembered(vec![turn(None, &steps)]), at(1)).to_string();
    let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(obeyed), "{text:?}");
    assert!(text.contains("a\u{fffd}[2J"), "{text:?}");
}

#[test]
fn lengths_of_time_are_as_people_say_them() {
    for (ms, says) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_250, "1.2 s"),
        (61_000, "1 min 1 s"),
        (3_700_000, "1 h 1 min"),
        (400_000_000, "4 days"),
    ] {
        assert_eq!(duration(Duration::from_millis(ms)), says);
    }
}
