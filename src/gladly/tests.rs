//! What is read of Gladly's payloads, held against `fixtures/`.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::conversation::{Holder, Named, Status};
use crate::id::{AgentId, ConversationId, InboxId, ItemId};
use crate::text::Channel;
use crate::upstream::Effect;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn value(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).unwrap()
}

fn webhook(name: &str) -> Webhook {
    parse_webhook(&fixture(&format!("webhooks/{name}"))).unwrap()
}

fn conversation() -> ConversationId {
    ConversationId::parse("Fq7v7jTjQyqwKvS3kQbR3A").unwrap()
}

fn holder(agent: Option<&str>) -> Holder {
    Holder {
        inbox_id: Named::This(InboxId::parse("w1qgCyRmRQmIPXLVrjcZZw").unwrap()),
        agent_id: agent.map_or(Named::Nobody, |agent| {
            Named::This(AgentId::parse(agent).unwrap())
        }),
    }
}

#[test]
fn events_are_read_line_by_line_oldest_first() {
    let line = |id: &str, kind: &str, second: u8| {
        let content = json!({"conversationId": "c", "messageId": id});
        json!({"id": id, "type": kind, "timestamp": format!("2026-01-01T00:00:0{second}Z"),
            "content": content})
        .to_string()
    };
    let [late, early, status] = [
        line("late", "CONTACT/MESSAGE_RECEIVED", 3),
        line("early", "CONTACT/MESSAGE_RECEIVED", 1),
        line("status", "CONVERSATION/CLOSED", 2),
    ];
    let other = line("other", "CONTACT/ENDED", 1);
    let body = format!("{late}\r\n\nno event\n{other}\n{early}\n  {status}");
    let events = parse_events(body.as_bytes()).unwrap();
    let ids: Vec<_> = events
        .told
        .iter()
        .map(|(webhook, line)| (webhook.id.as_ref().unwrap().0.as_str(), line.len()))
        .collect();
    let expected = [
        ("early", early.len()),
        ("status", status.len()),
        ("late", late.len()),
    ];
    assert_eq!((ids, events.malformed), (expected.to_vec(), 1));
    for (body, is_answer) in [("", true), ("\n", true), ("<html>\n</html>", false)] {
        assert_eq!(parse_events(body.as_bytes()).is_some(), is_answer, "{body}");
    }
}

#[test]
fn each_webhook_says_what_it_says() {
    let agent = Some("oXn9nBvdQaSNjdmB8oOzWA");
    let message = |context| WebhookContent::Message {
        conversation_id: conversation(),
        item_id: ItemId::parse("pGtoZ5cTRoOqGHGNwFRgCh").unwrap(),
        context,
    };
    let merged = WebhookContent::Merged {
        source: ConversationId::parse("Aq7v7jTjQyqwKvS3kQbR3C").unwrap(),
        destination: ConversationId::parse("Bq7v7jTjQyqwKvS3kQbR3B").unwrap(),
    };
    let cases = [
        ("contact_message_received", message(Some(holder(agent)))),
        (
            "contact_message_received_unassigned",
            message(Some(holder(None))),
        ),
        ("message_received", message(None)),
        (
            "conversation_created",
            WebhookContent::Opened(conversation()),
        ),
        (
            "conversation_reopened",
            WebhookContent::Opened(conversation()),
        ),
        (
            "conversation_closed",
            WebhookContent::Closed(conversation()),
        ),
        (
            "conversation_status_updated",
            WebhookContent::StatusChanged(conversation()),
        ),
        (
            "conversation_assignee_updated",
            WebhookContent::HolderChanged(conversation(), Some(holder(agent))),
        ),
        ("customer_merged", merged),
        (
            "customer_merged_without_conversations",
            WebhookContent::Other,
        ),
        ("ping", WebhookContent::Ping),
        ("payment_request_created", WebhookContent::Other),
    ];
    for (name, expected) in cases {
        assert_eq!(webhook(name).content, expected, "{name}");
    }
    assert_eq!(
        webhook("payment_request_created").kind,
        "other",
        "labels stay few"
    );
    let timestamp = webhook("message_received")
        .happened_at
        .map(|at| at.to_string());
    assert_eq!(timestamp.as_deref(), Some("2026-11-20T04:30:12.07Z"));
}

#[test]
fn an_item_is_read_whatever_is_missing_or_new() {
    let item = |name: &str| Item::read(&value(&format!("gladly/{name}"))).unwrap();
    let chat = item("item_chat");
    assert_eq!(chat.initiator, Initiator::Customer);
    assert_eq!(chat.content.channel(), Some(Channel::Chat));
    assert_eq!(chat.content.text, "Where is my order?");
    assert_eq!(
        chat.content.attachments,
        ["a.png", "image/png", "a file without a name"]
    );
    assert_eq!(item("item_quick_reply").content.text, "Track my order");
    let email = item("item_email").content;
    assert_eq!(
        (email.from.as_str(), email.subject.as_str()),
        ("mia@example.com", "Order 12345")
    );
    assert_eq!(item("item_voicemail").content.channel(), None);
    let note = item("item_note");
    assert_eq!(
        (note.initiator, note.content.text.as_str()),
        (Initiator::Agent, "<p>Called back.</p>")
    );
    let unknown = item("item_of_a_kind_not_known_yet");
    assert_eq!(
        (unknown.initiator, unknown.content.channel()),
        (Initiator::Other, None)
    );
    assert_eq!(unknown.content.text, "");
}

#[test]
fn a_conversation_without_an_agent_is_assigned_to_nobody() {
    let read = |name: &str| Conversation::read(&value(&format!("gladly/{name}"))).unwrap();
    let agent = Some("oXn9nBvdQaSNjdmB8oOzWA");
    let open = read("conversation_open");
    assert_eq!((open.holder, open.status), (holder(agent), Status::Open));
    let waiting = read("conversation_waiting_unassigned");
    assert_eq!(
        (waiting.holder, waiting.status),
        (holder(None), Status::Open)
    );
    assert_eq!(read("conversation_closed").status, Status::Closed);
    assert_eq!(
        Conversation::read(&serde_json::json!({"html": "<p>"})),
        None
    );
}

#[test]
fn an_error_is_sorted_by_what_to_do_next() {
    let sorted = |status: u16, body: &[u8]| {
        let status = StatusCode::from_u16(status).unwrap();
        GladlyError::of_answer("op", status, &HeaderMap::new(), body)
    };
    let refusal = |name: &str| match sorted(400, &fixture(&format!("gladly/{name}"))) {
        GladlyError::Refused { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal("error_reply_closed"), Refusal::Closed);
    assert_eq!(refusal("error_assign_closed"), Refusal::Closed);
    assert_eq!(refusal("error_agent_not_in_inbox"), Refusal::Agent);
    assert_eq!(refusal("error_too_long"), Refusal::Other);
    for status in [500, 502, 503, 504, 408] {
        let error = sorted(status, b"<html>");
        assert!(
            matches!(
                error,
                GladlyError::RetryLater {
                    effect: Effect::Unknown,
                    ..
                }
            ),
            "{status}"
        );
    }
    assert!(matches!(
        sorted(429, b""),
        GladlyError::RetryLater {
            effect: Effect::None,
            ..
        }
    ));
    for status in [301, 404, 410] {
        assert!(
            matches!(sorted(status, b""), GladlyError::NotFound { .. }),
            "{status}"
        );
    }
    for status in [400, 409, 422] {
        assert!(
            matches!(sorted(status, b"not json"), GladlyError::Refused { .. }),
            "{status}"
        );
    }
}

#[test]
fn an_error_repeats_nothing_that_was_sent() {
    let body = br#"{"errors":[{"attr":"content.body: my secret","code":"a b","detail":"my secret is invalid"}]}"#;
    let error = GladlyError::of_answer("reply", StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
    assert!(!format!("{error} {error:?}").contains("secret"));
}
