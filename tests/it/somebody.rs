//! What can't be read is somebody else's, never nobody's: the bot is silent.

use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{Fault, Message, Operation, Reply, What, When};
use gladly_relay::store::Operations;
use serde_json::{Value, json};

use crate::support::{Setup, TestRelay, soon};

/// Agents of forms that Gladly has never shown.
fn strange_agents() -> Vec<Value> {
    vec![
        json!("human.agent.1"),
        json!("ada@example.com"),
        json!("x".repeat(200)),
        json!(" "),
        json!(7),
        json!(false),
        json!({"id": "agent-ada"}),
        json!(["agent-ada"]),
    ]
}

/// What Gladly shows of every conversation from now on.
fn show_conversations_as(relay: &TestRelay, shown: &Value) {
    let reply = Reply {
        status: 200,
        headers: Vec::new(),
        body: shown.to_string(),
    };
    relay.gladly.fault(Fault {
        operation: Some(Operation::GetConversation),
        when: When::Always,
        what: What::Status(reply),
    });
}

fn held_by(agent: &Value) -> Value {
    json!({"id": "c", "inboxId": "ai-inbox", "agentId": agent, "status": "OPEN"})
}

async fn assert_silent(relay: TestRelay, conversation: &str, reason: SkipReason, case: &str) {
    let outcome = relay.next_outcome().await;
    assert_eq!(outcome, Outcome::Skipped(reason), "{case}");
    for operation in [
        Operation::Reply,
        Operation::AddNote,
        Operation::PatchConversation,
    ] {
        assert_eq!(relay.gladly.requests_of(operation), 0, "{case}");
    }
    assert_eq!(relay.replies(conversation).len(), 0, "{case}");
    relay.finish().await;
}

#[tokio::test]
async fn an_agent_of_an_unknown_form_that_gladly_shows_silences_the_bot() {
    for agent in strange_agents() {
        let relay = TestRelay::start().await;
        show_conversations_as(&relay, &held_by(&agent));
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        assert_silent(
            relay,
            &conversation,
            SkipReason::HumanAssigned,
            &agent.to_string(),
        )
        .await;
    }
}

#[tokio::test]
async fn an_agent_of_an_unknown_form_in_a_message_s_event_is_not_nobody() {
    for agent in strange_agents() {
        let relay = TestRelay::start().await;
        show_conversations_as(&relay, &held_by(&agent));
        let conversation = relay.conversation();
        let message = Message::chat("for Ada's eyes only");
        let item = relay
            .gladly
            .customer_message_without_webhook(&conversation, &message);
        let mut payload = relay.gladly.payload_for(&item);
        payload["content"]["context"]["assignee"]["agentId"] = agent.clone();
        assert_eq!(relay.post(payload.to_string()).await.status(), 200);
        let gleen = relay.gleen.clone();
        assert_silent(
            relay,
            &conversation,
            SkipReason::HumanAssigned,
            &agent.to_string(),
        )
        .await;
        assert_eq!(gleen.requests().len(), 0, "{agent}: it was asked");
    }
}

/// The bot thinks about a message, and Gladly tells of a new holder meanwhile.
async fn told_while_the_bot_thinks(relay: &TestRelay, content: Value) -> String {
    let conversation = relay.conversation();
    let held = relay.gleen.hold_next(Operation::SendMessage);
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    let mut content = content;
    content["conversationId"] = json!(conversation);
    relay
        .gladly
        .raise("CONVERSATION_ASSIGNEE/UPDATED", &content);
    relay.all_told().await;
    held.release();
    conversation
}

#[tokio::test]
async fn an_agent_of_an_unknown_form_that_a_webhook_names_silences_the_bot() {
    for agent in strange_agents() {
        let relay = Setup::policy("recheck_before_reply = false").start().await;
        let content = json!({"assignee": {"inboxId": "ai-inbox", "agentId": agent}});
        let conversation = told_while_the_bot_thinks(&relay, content).await;
        assert_silent(
            relay,
            &conversation,
            SkipReason::HumanAssigned,
            &agent.to_string(),
        )
        .await;
    }
}

#[tokio::test]
async fn a_status_that_cannot_be_read_silences_the_bot() {
    let mut cases = vec![json!({"id": "c", "inboxId": "ai-inbox"})];
    for status in [
        json!("PAUSED"),
        json!("open"),
        json!(7),
        json!(null),
        json!({"value": "OPEN"}),
    ] {
        cases.push(json!({"id": "c", "inboxId": "ai-inbox", "status": status}));
    }
    for shown in cases {
        let relay = TestRelay::start().await;
        show_conversations_as(&relay, &shown);
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        assert_silent(relay, &conversation, SkipReason::Closed, &shown.to_string()).await;
    }
}

#[tokio::test]
async fn an_inbox_that_cannot_be_read_silences_the_bot() {
    for inbox in [
        json!("human.inbox"),
        json!(7),
        json!({"id": "ai-inbox"}),
        json!(null),
    ] {
        let relay = TestRelay::start().await;
        let shown = json!({"id": "c", "inboxId": inbox, "status": "OPEN"});
        show_conversations_as(&relay, &shown);
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        assert_silent(
            relay,
            &conversation,
            SkipReason::NotAiInbox,
            &shown.to_string(),
        )
        .await;
    }
}

#[tokio::test]
async fn where_a_webhook_does_not_say_which_inbox_the_relay_looks() {
    let contents = [
        json!({}),
        json!({"assignee": null}),
        json!({"assignee": "ai-inbox"}),
        json!({"assignee": {}}),
        json!({"assignee": {"agentId": "agent-ada"}}),
        json!({"assignee": {"inboxId": null}}),
        json!({"assignee": {"inboxId": ""}}),
        json!({"assignee": {"inboxId": 7}}),
        json!({"assignee": {"inboxId": "in.box"}}),
        json!({"assignee": {"inboxId": {"id": "ai-inbox"}}}),
    ];
    for content in contents {
        for taken_over in [false, true] {
            let relay = Setup::policy("recheck_before_reply = false").start().await;
            // Looks show the bot as holder, or a human.
            if taken_over {
                show_conversations_as(&relay, &held_by(&json!("agent-ada")));
            }
            told_while_the_bot_thinks(&relay, content.clone()).await;
            let expected = if taken_over {
                Outcome::Skipped(SkipReason::HumanAssigned)
            } else {
                Outcome::Replied
            };
            assert_eq!(relay.next_outcome().await, expected, "{content}");
            let looks = relay.gladly.requests_of(Operation::GetConversation);
            assert!(looks > 0, "{content}: it did not look");
            let letters = relay.running().store.dead_letters().await.unwrap();
            assert_eq!(letters, [], "{content}");
            relay.finish().await;
        }
    }
}
