//! An item belongs to a turn only if Gladly says that it is of the turn's
//! conversation, or of one that was merged with it. Else nobody's words get
//! into the wrong hands: it is neither asked nor answered nor noted.

use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{Fault, Gate, Message, Operation, Reply, What, When};
use gladly_relay::store::Operations;
use serde_json::{Value, json};

use crate::support::{Setup, TestRelay, soon};

const NEEDLE: &str = "needle-4471c0";

/// What a customer wrote in a conversation that a human holds.
fn item_of_a_human(relay: &TestRelay) -> (String, String) {
    let other = relay.conversation();
    relay.gladly.take_over(&other);
    let message = Message::chat(format!("my password is {NEEDLE}"));
    let item = relay
        .gladly
        .customer_message_without_webhook(&other, &message);
    (other, item)
}

/// A webhook that says the item is of this conversation, which is the bot's.
fn told_as_of(relay: &TestRelay, conversation: &str, item: &str) -> Value {
    let mut payload = relay.gladly.payload_for(item);
    payload["content"]["conversationId"] = json!(conversation);
    payload["content"]["context"] = json!({"assignee": {"inboxId": "ai-inbox"}});
    payload
}

async fn tell(relay: &TestRelay, payload: &Value) {
    assert_eq!(relay.post(payload.to_string()).await.status(), 200);
}

/// Gladly shows the item with this `conversationId` next.
fn show_item_as_of(relay: &TestRelay, conversation: &str, item: &str, of: Option<&str>) {
    let view = relay.view(conversation);
    let found = view.items.iter().find(|other| other.id == item).unwrap();
    let mut shown = json!({"id": item, "customerId": "c", "timestamp": found.timestamp.to_string(),
        "initiator": {"type": "CUSTOMER", "id": "c"}, "content": found.content});
    if let Some(of) = of {
        shown["conversationId"] = json!(of);
    }
    let reply = Reply {
        status: 200,
        headers: Vec::new(),
        body: shown.to_string(),
    };
    relay
        .gladly
        .spoil_next(Operation::GetItem, What::Status(reply));
}

async fn dead_letters(relay: &TestRelay) -> usize {
    relay.running().store.dead_letters().await.unwrap().len()
}

fn assert_nothing_written(relay: &TestRelay) {
    let writes = [
        Operation::Reply,
        Operation::AddNote,
        Operation::AddTopics,
        Operation::PatchConversation,
    ];
    for operation in writes {
        assert_eq!(relay.gladly.requests_of(operation), 0, "{operation:?}");
    }
}

async fn assert_nobody_was_told(relay: &TestRelay) {
    for question in relay.gleen.questions() {
        assert!(!question.text.contains(NEEDLE), "Gleen was told");
    }
    let conversations = relay
        .gladly
        .wait_until(|world| Some(world.conversations()))
        .await;
    for item in conversations.iter().flat_map(|view| &view.items) {
        let told = item.text().is_some_and(|text| text.contains(NEEDLE));
        assert!(!told || item.initiator_type == "CUSTOMER", "{item:?}");
    }
}

/// How so many turns ended, beside the one that left the human's own conversation
/// alone.
async fn outcomes(relay: &TestRelay, count: usize) -> Vec<Outcome> {
    let mut all = relay.outcomes(count + 1).await;
    all.retain(|outcome| *outcome != Outcome::Skipped(SkipReason::HumanAssigned));
    all
}

#[tokio::test]
async fn an_item_of_another_conversation_is_a_dead_letter_and_written_nowhere() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let (other, item) = item_of_a_human(&relay);
    relay.all_told().await;
    tell(&relay, &told_as_of(&relay, &conversation, &item)).await;
    let outcomes = outcomes(&relay, 1).await;
    assert!(matches!(outcomes[0], Outcome::Dead(_)), "{outcomes:?}");
    assert_eq!(dead_letters(&relay).await, 1);
    assert_eq!(relay.gleen.requests().len(), 0);
    assert_nothing_written(&relay);
    assert_eq!(relay.view(&conversation).items.len(), 0);
    assert_eq!(relay.replies(&other).len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn an_item_that_does_not_say_whose_it_is_is_a_dead_letter() {
    let relay = TestRelay::start().await;
    let (other, item) = item_of_a_human(&relay);
    let conversation = relay.conversation();
    relay.all_told().await;
    show_item_as_of(&relay, &other, &item, None);
    tell(&relay, &told_as_of(&relay, &conversation, &item)).await;
    let outcome = relay.next_outcome().await;
    assert!(matches!(outcome, Outcome::Dead(_)), "{outcome:?}");
    assert_eq!(dead_letters(&relay).await, 1);
    assert_eq!(relay.gleen.requests().len(), 0);
    assert_nothing_written(&relay);
    relay.finish().await;
}

/// A turn with a stranger before or after a message of its own; it is about to
/// begin once the hold is released.
async fn burst_with_a_stranger(relay: &TestRelay, own: &str, stranger_first: bool) -> String {
    let conversation = relay.conversation();
    let (_, stranger) = item_of_a_human(relay);
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "first");
    soon(held.reached()).await;
    let mut stranger = told_as_of(relay, &conversation, &stranger);
    let at = if stranger_first { -60 } else { 60 };
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(at);
    stranger["timestamp"] = json!(at.to_string());
    tell(relay, &stranger).await;
    relay.says(&conversation, own);
    relay.all_told().await;
    held.release();
    conversation
}

#[tokio::test]
async fn the_other_messages_of_the_same_turn_are_answered() {
    for stranger_first in [true, false] {
        let relay = TestRelay::start().await;
        let conversation = burst_with_a_stranger(&relay, "second", stranger_first).await;
        let both = [Outcome::Replied, Outcome::Replied];
        assert_eq!(outcomes(&relay, 2).await, both, "{stranger_first}");
        let answers = ["You asked: first", "You asked: second"];
        assert_eq!(relay.replies(&conversation), answers, "{stranger_first}");
        assert_eq!(dead_letters(&relay).await, 1);
        assert_nobody_was_told(&relay).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn no_note_holds_what_was_written_elsewhere() {
    for stranger_first in [true, false] {
        let relay = TestRelay::start().await;
        let conversation = burst_with_a_stranger(&relay, "agent please", stranger_first).await;
        let handed_off = Outcome::HandedOff(CustomerRequested);
        assert_eq!(outcomes(&relay, 2).await, [Outcome::Replied, handed_off]);
        assert_eq!(relay.view(&conversation).notes().len(), 1);
        assert_eq!(dead_letters(&relay).await, 1);
        assert_nobody_was_told(&relay).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn what_was_found_to_be_of_another_conversation_stays_out_after_a_crash() {
    for (stranger_first, after_effect) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let mut relay = Setup::default().start_to_be_cut_short().await;
        let (gate, held) = Gate::new();
        relay.gladly.fault(Fault {
            operation: Some(Operation::Reply),
            when: When::Nth(2),
            what: if after_effect {
                What::HoldAnswer(gate)
            } else {
                What::Hold(gate)
            },
        });
        let conversation = burst_with_a_stranger(&relay, "second", stranger_first).await;
        soon(held.reached()).await;
        relay.stop().await;
        held.release();
        relay.boot().await;
        let case = format!("stranger first: {stranger_first}, sent: {after_effect}");
        // The human's own conversation may have been left alone before the stop.
        if relay.next_outcome().await != Outcome::Replied {
            relay.outcomes(2).await;
        }
        soon(relay.running().store.idle()).await;
        let answers = ["You asked: first", "You asked: second"];
        assert_eq!(relay.replies(&conversation), answers, "{case}");
        assert_eq!(dead_letters(&relay).await, 1, "{case}");
        assert_nobody_was_told(&relay).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn an_item_of_a_conversation_that_was_merged_into_this_one_is_answered() {
    let relay = TestRelay::start().await;
    let (gone, conversation) = (relay.conversation(), relay.conversation());
    let message = Message::chat("hello");
    let item = relay
        .gladly
        .customer_message_without_webhook(&gone, &message);
    relay.all_told().await;
    relay.lose_webhooks();
    relay.gladly.merge(&gone, &conversation);
    // Gladly may go on showing where it was written.
    show_item_as_of(&relay, &conversation, &item, Some(&gone));
    tell(&relay, &told_as_of(&relay, &conversation, &item)).await;
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    assert_eq!(relay.replies(&conversation), ["You asked: hello"]);
    assert_eq!(dead_letters(&relay).await, 0);
    relay.finish().await;
}

#[tokio::test]
async fn an_item_of_the_conversation_that_this_one_was_merged_into_is_answered() {
    for told in [true, false] {
        let relay = TestRelay::start().await;
        let (gone, conversation) = (relay.conversation(), relay.conversation());
        let message = Message::chat("hello");
        let item = relay
            .gladly
            .customer_message_without_webhook(&gone, &message);
        let payload = told_as_of(&relay, &gone, &item);
        relay.all_told().await;
        if !told {
            relay.lose_webhooks();
        }
        relay.gladly.merge(&gone, &conversation);
        relay.all_told().await;
        tell(&relay, &payload).await;
        assert_eq!(relay.next_outcome().await, Outcome::Replied, "{told}");
        assert_eq!(relay.replies(&conversation), ["You asked: hello"]);
        assert_eq!(dead_letters(&relay).await, 0);
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_mistaken_event_keeps_nobody_from_an_answer() {
    let relay = TestRelay::start().await;
    let (mine, other) = (relay.conversation(), relay.conversation());
    relay.all_told().await;
    let item = relay
        .gladly
        .customer_message_without_webhook(&mine, &Message::chat("hello"));
    tell(&relay, &told_as_of(&relay, &other, &item)).await;
    let outcomes = relay.outcomes(2).await;
    assert!(matches!(outcomes[0], Outcome::Dead(_)), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Replied);
    assert_eq!(relay.replies(&mine), ["You asked: hello"]);
    // The right event, when it comes, tells nothing new.
    tell(&relay, &relay.gladly.payload_for(&item)).await;
    soon(relay.running().store.idle()).await;
    assert_eq!(relay.replies(&mine).len(), 1);
    assert_eq!(relay.replies(&other).len(), 0);
    relay.finish().await;
}
