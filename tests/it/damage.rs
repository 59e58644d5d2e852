//! A row that can't be read costs its own turn alone.

use gladly_relay::outcome::{HandoffReason, Outcome, SkipReason};
use gladly_relay::sim::{Hold, Operation, What};
use gladly_relay::store::{DeadLetter, Operations};
use rusqlite::Connection;

use crate::support::{Setup, TestRelay, soon};

/// Three customers, in whose turns the bot thinks; the relay is stopped there.
async fn three_turns_cut_short() -> (TestRelay, [String; 3]) {
    let mut relay = Setup::default().start_to_be_cut_short().await;
    let conversations = [(); 3].map(|()| relay.conversation());
    let mut holds: Vec<Hold> = Vec::new();
    for conversation in &conversations {
        holds.push(relay.gleen.hold_next(Operation::SendMessage));
        relay.says(conversation, "hello");
        soon(holds[holds.len() - 1].reached()).await;
    }
    relay.all_told().await;
    relay.stop().await;
    (relay, conversations)
}

fn damage(relay: &TestRelay, table: &str, conversation: &str, what: &str) {
    let database = Connection::open(relay.database()).unwrap();
    let sql = format!("UPDATE {table} SET {what} WHERE conversation_id = '{conversation}'");
    assert_eq!(database.execute(&sql, []).unwrap(), 1, "{sql}");
}

async fn dead_letters(relay: &TestRelay) -> Vec<DeadLetter> {
    relay.running().store.dead_letters().await.unwrap()
}

async fn answered(relay: &TestRelay, conversation: &str, replies: usize) {
    let there = relay.gladly.wait_for(|world| {
        let view = world.conversation(conversation).unwrap();
        view.replies().len() == replies
    });
    soon(there).await;
}

#[tokio::test]
async fn a_turn_that_cannot_be_read_becomes_a_dead_letter_and_the_others_go_on() {
    let cases = [
        "messages = '['",
        "messages = '[{}]'",
        "state = '{'",
        "state = '[1]'",
        "began = -1",
        "deadline_at = 9223372036854775807",
    ];
    for case in cases {
        let (mut relay, [damaged, second, third]) = three_turns_cut_short().await;
        damage(&relay, "turns", &damaged, case);
        relay.boot().await;
        for other in [&second, &third] {
            answered(&relay, other, 1).await;
        }
        soon(relay.running().store.idle()).await;
        let letters = dead_letters(&relay).await;
        assert_eq!(letters.len(), 1, "{case}: {letters:?}");
        let named = letters[0].conversation_id.as_ref().unwrap();
        assert_eq!(named.as_str(), damaged, "{case}");
        assert_eq!(relay.replies(&damaged).len(), 0, "{case}");
        // Its conversation goes on with the next message.
        relay.says(&damaged, "are you there?");
        answered(&relay, &damaged, 1).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn words_that_cannot_be_read_are_fetched_and_asked_again() {
    for case in [
        "words = x'00'",
        "words = x''",
        "words = NULL",
        "words = zeroblob(500)",
        "key_id = key_id + 1",
        "key_id = NULL",
    ] {
        let (mut relay, conversations) = three_turns_cut_short().await;
        damage(&relay, "turns", &conversations[0], case);
        relay.boot().await;
        let all = [Outcome::Replied, Outcome::Replied, Outcome::Replied];
        assert_eq!(relay.outcomes(3).await, all, "{case}");
        for conversation in &conversations {
            assert_eq!(relay.replies(conversation), ["You asked: hello"], "{case}");
        }
        assert_eq!(dead_letters(&relay).await, [], "{case}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn an_answer_whose_words_are_lost_on_its_way_goes_to_a_human() {
    for after_effect in [false, true] {
        let mut relay = Setup::default().start_to_be_cut_short().await;
        let conversation = relay.conversation();
        let held = if after_effect {
            relay.gladly.hold_next_answer(Operation::Reply)
        } else {
            relay.gladly.hold_next(Operation::Reply)
        };
        relay.says(&conversation, "hello");
        soon(held.reached()).await;
        relay.all_told().await;
        relay.stop().await;
        held.release();
        damage(&relay, "turns", &conversation, "words = x'00'");
        relay.boot().await;
        let outcome = relay.next_outcome().await;
        assert!(matches!(outcome, Outcome::HandedOff(_)), "{outcome:?}");
        let view = relay.view(&conversation);
        assert_eq!(view.replies().len(), usize::from(after_effect));
        assert_eq!(view.inbox_id, "human-inbox");
        assert_eq!(relay.gleen.requests().len(), 1, "it is not asked again");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_is_answered_all_the_same() {
    for case in ["value = ''", "value = '{\"known\":'", "value = '{}'"] {
        let (mut relay, conversations) = three_turns_cut_short().await;
        damage(&relay, "conversations", &conversations[0], case);
        relay.boot().await;
        let all = [Outcome::Replied, Outcome::Replied, Outcome::Replied];
        assert_eq!(relay.outcomes(3).await, all, "{case}");
        for conversation in &conversations {
            assert_eq!(relay.replies(conversation), ["You asked: hello"], "{case}");
        }
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_is_not_talked_over() {
    let (mut relay, conversations) = three_turns_cut_short().await;
    relay.lose_webhooks();
    relay.gladly.take_over(&conversations[0]);
    damage(&relay, "conversations", &conversations[0], "value = ''");
    relay.boot().await;
    let outcomes = relay.outcomes(3).await;
    let human = Outcome::Skipped(SkipReason::HumanAssigned);
    assert!(outcomes.contains(&human), "{outcomes:?}");
    assert_eq!(relay.replies(&conversations[0]).len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn messages_that_wait_in_a_conversation_that_cannot_be_read_are_looked_for() {
    let mut relay = Setup::default().start_to_be_cut_short().await;
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "first");
    soon(held.reached()).await;
    relay.says(&conversation, "second");
    relay.all_told().await;
    relay.stop().await;
    damage(&relay, "conversations", &conversation, "value = ''");
    relay.boot().await;
    let both = [Outcome::Replied, Outcome::Replied];
    assert_eq!(relay.outcomes(2).await, both);
    let answers = ["You asked: first", "You asked: second"];
    assert_eq!(relay.replies(&conversation), answers);
    relay.finish().await;
}

#[tokio::test]
async fn a_handoff_under_way_ends_although_its_conversation_cannot_be_read() {
    let mut relay = Setup::default().start_to_be_cut_short().await;
    let conversation = relay.conversation();
    relay.always(Operation::PatchConversation, What::status(503));
    relay.says(&conversation, "agent please");
    soon(relay.running().store.put_off(2)).await;
    relay.all_told().await;
    relay.stop().await;
    relay.gladly.clear_faults();
    damage(&relay, "conversations", &conversation, "value = ''");
    relay.boot().await;
    let handed_off = Outcome::HandedOff(HandoffReason::CustomerRequested);
    assert_eq!(relay.next_outcome().await, handed_off);
    assert!(relay.is_with_humans(&conversation));
    relay.finish().await;
}

#[tokio::test]
async fn a_column_that_cannot_be_read_stops_neither_the_start_nor_the_others() {
    for case in [
        "conversation_id = 'a b'",
        "waiting_since = -9223372036854775807",
        "value = '', touched_at = 9223372036854775807",
    ] {
        let (mut relay, [damaged, second, third]) = three_turns_cut_short().await;
        damage(&relay, "conversations", &damaged, case);
        relay.boot().await;
        let new = relay.conversation();
        relay.says(&new, "hello");
        for other in [&second, &third, &new] {
            answered(&relay, other, 1).await;
        }
        soon(relay.running().store.idle()).await;
        relay.stop().await;
    }
}
