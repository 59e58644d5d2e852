//! The simulated Gladly keeps to the contract of Gladly's REST API.

use std::time::Duration;

use gladly_relay::sim::{
    AgentNull, Channel, ConversationStatus, Message, MessageEvents, Operation,
};
use serde_json::{Value, json};

use super::sim_support::{Answer, Api, plain_client};

#[tokio::test]
async fn wrong_or_missing_credentials_are_refused() {
    let api = Api::start().await;
    let url = format!("{}/api/v1/organization", api.gladly.url());
    let bare = Answer::of(plain_client().get(&url)).await.unwrap();
    let wrong = plain_client()
        .get(&url)
        .basic_auth("bot@example.com", Some("wrong"));
    assert_eq!(bare.status, 401);
    assert_eq!(Answer::of(wrong).await.unwrap().status, 401);
    assert_eq!(api.get("/organization").await.status, 200);
}

#[tokio::test]
async fn unknown_ids_and_paths_are_404() {
    let api = Api::start().await;
    for path in [
        "/conversations/nope",
        "/conversations/nope/items",
        "/conversation-items/nope",
        "/inboxes/nope",
        "/agents/nope",
        "/webhooks/nope",
        "/nope",
    ] {
        assert_eq!(api.get(path).await.status, 404, "{path}");
    }
    assert_eq!(api.reply("nope", "Hi").await.status, 404);
    assert_eq!(
        api.post("/conversations/nope/notes", json!({}))
            .await
            .status,
        404
    );
    assert_eq!(
        api.patch("/conversations/nope", json!({})).await.status,
        404
    );
}

#[tokio::test]
async fn the_directory_lists_inboxes_and_agents() {
    let api = Api::start().await;
    assert_eq!(api.get("/inboxes").await.body.as_array().unwrap().len(), 3);
    assert_eq!(api.get("/inboxes/ai-inbox").await.body["disabled"], false);
    assert_eq!(api.get("/agents").await.body.as_array().unwrap().len(), 2);
    assert_eq!(api.get("/agents/agent-ada").await.body["name"], "Ada");
    assert_eq!(
        api.get("/organization").await.body["gladlyUrl"],
        api.gladly.url()
    );
}

#[tokio::test]
async fn a_conversation_shows_only_what_it_has() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let path = format!("/conversations/{id}");
    let open = api.get(&path).await.body;
    assert_eq!(
        (&open["inboxId"], &open["status"]),
        (&json!("ai-inbox"), &json!("OPEN"))
    );
    assert!(
        ["agentId", "closedAt", "topicIds"]
            .iter()
            .all(|field| open.get(field).is_none())
    );
    api.gladly.take_over(&id);
    api.gladly.close(&id);
    let closed = api.get(&path).await.body;
    assert_eq!(
        (&closed["agentId"], &closed["status"]),
        (&json!("agent-ada"), &json!("CLOSED"))
    );
    assert!(closed["closedAt"].is_string());
}

#[tokio::test]
async fn malformed_json_is_400() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    let options = api.gladly.options();
    for path in [
        format!("conversations/{id}/notes"),
        format!("conversation-items/{item}/reply"),
    ] {
        let url = format!("{}/api/v1/{path}", api.gladly.url());
        let request = plain_client().post(url).body("{\"content\":");
        let request = request.basic_auth(&options.username, Some(&options.api_token));
        assert_eq!(Answer::of(request).await.unwrap().status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_reply_joins_the_timeline_and_assigns_the_bot() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    let reply = api.reply(&item, "Hello!").await.created_id();
    let shown = api.get(&format!("/conversation-items/{reply}")).await.body;
    assert_eq!(shown["content"]["content"], "Hello!");
    assert_eq!(
        shown["initiator"],
        json!({ "id": "gleen-bot", "type": "API" })
    );
    let conversation = api.gladly.conversation(&id).unwrap();
    assert_eq!(conversation.agent_id.as_deref(), Some("gleen-bot"));
    assert_eq!(
        conversation.replies()[0].customer_item_id.as_ref(),
        Some(&item)
    );
}

#[tokio::test]
async fn the_same_reply_twice_is_two_messages() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    let first = api.reply(&item, "Hello!").await.created_id();
    let second = api.reply(&item, "Hello!").await.created_id();
    assert_ne!(first, second);
    assert_eq!(api.gladly.conversation(&id).unwrap().replies().len(), 2);
}

#[tokio::test]
async fn a_reply_to_a_closed_conversation_is_refused() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    api.gladly.close(&id);
    let refused = api.reply(&item, "Hello!").await;
    let detail = refused.refused("conversation", "invalid_state");
    assert_eq!(detail, "you cannot reply to items in closed conversations");
    assert!(api.gladly.conversation(&id).unwrap().replies().is_empty());
}

#[tokio::test]
async fn only_customers_are_replied_to() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    let human = api.gladly.agent_replies(&id, "I am Ada");
    let refused = api.reply(&human, "Hello!").await;
    assert_eq!(
        refused.refused("initiator", "invalid"),
        "you can only reply to customer messages"
    );
}

#[tokio::test]
async fn a_reply_must_be_of_the_items_type_and_that_be_supported() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let voicemail = api
        .gladly
        .customer_says(&id, &Message::new(Channel::Voicemail, ""));
    let sms = api
        .gladly
        .customer_says(&id, &Message::new(Channel::Sms, "Hi"));
    let post = async |item: &str, content: Value| {
        api.post(
            &format!("/conversation-items/{item}/reply"),
            json!({ "content": content }),
        )
        .await
    };
    let unsupported = post(&voicemail, json!({ "type": "VOICEMAIL", "body": "Hi" })).await;
    let detail = unsupported.refused("content.type", "invalid");
    assert_eq!(detail, "type [VOICEMAIL] is not supported");
    api.reply(&sms, "Hi")
        .await
        .refused("content.type", "invalid");
    post(&sms, json!({ "body": "Hi" }))
        .await
        .refused("content.type", "blank");
    post(&sms, json!({ "type": "SMS", "body": "Hi" }))
        .await
        .created_id();
}

#[tokio::test]
async fn a_chat_reply_must_be_of_message_type_text() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api
        .gladly
        .customer_says(&id, &Message::new(Channel::QuickReplyResponse, "Yes"));
    let content = json!({ "type": "CHAT_MESSAGE", "body": "Hi" });
    let path = format!("/conversation-items/{item}/reply");
    let refused = api.post(&path, json!({ "content": content })).await;
    refused.refused("content.messageType", "invalid");
    api.reply(&item, "Hi").await.created_id();
}

#[tokio::test]
async fn a_blank_or_missing_body_is_refused() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api
        .gladly
        .customer_says(&id, &Message::new(Channel::Sms, "Hi"));
    let reply = format!("/conversation-items/{item}/reply");
    let note = format!("/conversations/{id}/notes");
    for path in [&reply, &note] {
        api.post(path, json!({})).await.refused("content", "blank");
        for content in [
            json!({ "type": "SMS" }),
            json!({ "type": "SMS", "body": " \n" }),
        ] {
            let refused = api.post(path, json!({ "content": content })).await;
            refused.refused("content.body", "blank");
        }
    }
}

#[tokio::test]
async fn a_body_may_have_2048_utf16_units_and_no_more() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    api.reply(&item, &"a".repeat(2048)).await.created_id();
    api.reply(&item, &"ä".repeat(2048)).await.created_id();
    api.reply(&item, &"😀".repeat(1024)).await.created_id();
    for body in ["a".repeat(2049), "😀".repeat(1025)] {
        let refused = api.reply(&item, &body).await;
        let detail = refused.refused("content.body", "too_long");
        assert_eq!(detail, "content.body cannot be larger than 2048 characters");
    }
}

#[tokio::test]
async fn an_email_is_html_of_any_length_and_listed_as_plain_text() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api
        .gladly
        .customer_says(&id, &Message::email("Order", "Where is it?"));
    let post = async |content: Value| {
        api.post(
            &format!("/conversation-items/{item}/reply"),
            json!({ "content": content }),
        )
        .await
    };
    let html = format!("<p>{}</p><p>Bye &amp; <b>thanks</b></p>", "a".repeat(3000));
    let sent = post(json!({ "type": "EMAIL", "body": html }))
        .await
        .created_id();
    let listed = api.get(&format!("/conversation-items/{sent}")).await.body["content"].clone();
    assert!(
        listed["content"]
            .as_str()
            .unwrap()
            .ends_with("aaa\nBye & thanks"),
        "{listed}"
    );
    assert_eq!(listed["subject"], "Re: Order");
    post(json!({ "type": "EMAIL", "body": "<b>x</b>", "bodyPlain": "*x*" }))
        .await
        .created_id();
    let view = api.gladly.conversation(&id).unwrap();
    assert_eq!(view.replies()[1].text(), Some("*x*"));
    assert_eq!(view.replies()[1].sent.as_ref().unwrap()["body"], "<b>x</b>");
    let refused = post(json!({ "type": "EMAIL", "body": "<script>x</script>" })).await;
    assert_eq!(
        refused.refused("content.body", "invalid"),
        "tag <script> is not allowed"
    );
}

#[tokio::test]
async fn a_note_is_kept_as_it_is() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let body = json!({ "content": { "body": "<b>Handed off</b>" } });
    let note = api
        .post(&format!("/conversations/{id}/notes"), body)
        .await
        .created_id();
    let shown = api.get(&format!("/conversation-items/{note}")).await.body;
    let content = json!({ "type": "CONVERSATION_NOTE", "body": "<b>Handed off</b>" });
    assert_eq!(shown["content"], content);
    assert_eq!(
        api.gladly.conversation(&id).unwrap().notes(),
        ["<b>Handed off</b>"]
    );
    assert_eq!(api.gladly.conversation(&id).unwrap().agent_id, None);
}

#[tokio::test]
async fn only_known_topics_are_added_and_each_once() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let path = format!("/conversations/{id}/topics");
    for _ in 0..2 {
        let body = json!({ "topicIds": ["bot-handoff"] });
        assert_eq!(api.post(&path, body).await.status, 204);
    }
    api.post(&path, json!({ "topicIds": ["nope"] }))
        .await
        .refused("topicIds", "not_exist");
    api.post(&path, json!({ "topicIds": [] }))
        .await
        .refused("topicIds", "blank");
    assert_eq!(
        api.gladly.conversation(&id).unwrap().topic_ids,
        ["bot-handoff"]
    );
}

#[tokio::test]
async fn an_assignee_must_name_an_inbox_and_an_agent_of_it() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let path = format!("/conversations/{id}");
    for (assignee, attr, code) in [
        (
            json!({ "agentId": "agent-ada" }),
            "assignee.inboxId",
            "blank",
        ),
        (
            json!({ "inboxId": "nope" }),
            "assignee.inboxId",
            "not_exist",
        ),
        (
            json!({ "inboxId": "ai-inbox", "agentId": "x" }),
            "assignee.agentId",
            "not_exist",
        ),
        (
            json!({ "inboxId": "human-inbox", "agentId": "gleen-bot" }),
            "assignee.agentId",
            "invalid",
        ),
    ] {
        let refused = api.patch(&path, json!({ "assignee": assignee })).await;
        let detail = refused.refused(attr, code);
        assert!(
            code != "invalid" || detail == "agent does not belong to inbox",
            "{detail}"
        );
    }
    let assignee = json!({ "inboxId": "human-inbox", "agentId": "agent-ada" });
    assert_eq!(
        api.patch(&path, json!({ "assignee": assignee }))
            .await
            .status,
        204
    );
    let view = api.gladly.conversation(&id).unwrap();
    assert_eq!(
        (view.inbox_id.as_str(), view.agent_id.as_deref()),
        ("human-inbox", Some("agent-ada"))
    );
}

#[tokio::test]
async fn whether_null_or_empty_means_nobody_can_be_chosen() {
    let api = Api::with(|options| options.assign_to_bot = true).await;
    for (rule, null, empty) in [
        (AgentNull::Accepted, 204, 204),
        (AgentNull::NullOnly, 204, 400),
        (AgentNull::EmptyOnly, 400, 204),
        (AgentNull::Refused, 400, 400),
    ] {
        api.gladly.configure(|options| options.agent_null = rule);
        for (agent_id, expected) in [(json!(null), null), (json!(""), empty)] {
            let id = api.gladly.add_conversation("Grace");
            let body = json!({ "assignee": { "inboxId": "human-inbox", "agentId": agent_id } });
            let answer = api.patch(&format!("/conversations/{id}"), body).await;
            assert_eq!(answer.status, expected, "{rule:?} {agent_id}");
            if expected == 204 {
                assert_eq!(api.gladly.conversation(&id).unwrap().agent_id, None);
            } else {
                assert!(
                    answer
                        .refused("assignee.agentId", "invalid")
                        .contains("agent")
                );
            }
        }
    }
}

#[tokio::test]
async fn a_closed_conversation_is_not_reassigned_unless_it_is_opened() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly.close(&id);
    let path = format!("/conversations/{id}");
    let assignee = json!({ "inboxId": "human-inbox" });
    let refused = api.patch(&path, json!({ "assignee": assignee })).await;
    let detail = refused.refused("assignee", "invalid_state");
    assert_eq!(detail, "closed conversation cannot be reassigned");
    let both = json!({ "assignee": assignee, "status": { "value": "OPEN" } });
    assert_eq!(api.patch(&path, both).await.status, 204);
    assert_eq!(
        api.gladly.conversation(&id).unwrap().inbox_id,
        "human-inbox"
    );
}

#[tokio::test]
async fn closing_needs_force_while_the_customer_waits() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    let path = format!("/conversations/{id}");
    let refused = api
        .patch(&path, json!({ "status": { "value": "CLOSED" } }))
        .await;
    assert_eq!(
        refused.refused("status.force", "invalid_state"),
        "cannot close conversation, customer waiting for response, set 'status.force' to true"
    );
    let forced = json!({ "status": { "value": "CLOSED", "force": true } });
    assert_eq!(api.patch(&path, forced).await.status, 204);
    assert_eq!(
        api.gladly.conversation(&id).unwrap().status,
        ConversationStatus::Closed
    );
    let answer = api
        .patch(&path, json!({ "status": { "value": "WAITING" } }))
        .await;
    answer.refused("status.value", "invalid");
}

#[tokio::test]
async fn closing_may_need_a_topic_and_a_refused_patch_changes_nothing() {
    let api = Api::with(|options| options.topics_required = true).await;
    let id = api.gladly.add_conversation("Grace");
    let path = format!("/conversations/{id}");
    let body = json!({ "assignee": { "inboxId": "human-inbox" }, "status": { "value": "CLOSED" } });
    let refused = api.patch(&path, body.clone()).await;
    let detail = refused.refused("status", "invalid_state");
    assert_eq!(detail, "topics are required before closing of conversation");
    assert_eq!(api.gladly.conversation(&id).unwrap().inbox_id, "ai-inbox");
    api.post(
        &format!("{path}/topics"),
        json!({ "topicIds": ["order-status"] }),
    )
    .await;
    assert_eq!(api.patch(&path, body).await.status, 204);
}

#[tokio::test]
async fn items_are_listed_oldest_first_and_the_oldest_thousand() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let path = format!("/conversations/{id}/items");
    for number in 0..1000 {
        api.gladly
            .customer_says(&id, &Message::chat(number.to_string()));
    }
    assert_eq!(api.get(&path).await.header("Gladly-Limited-Data"), None);
    api.gladly.customer_says(&id, &Message::chat("1000"));
    let answer = api.get(&path).await;
    assert!(answer.header("Gladly-Limited-Data").is_some());
    let items = answer.body.as_array().unwrap();
    assert_eq!(items.len(), 1000);
    assert_eq!(items[0]["content"]["content"], "0");
    assert_eq!(items[999]["content"]["content"], "999");
}

#[tokio::test]
async fn a_hidden_item_exists_but_cannot_be_read() {
    let api = Api::start().await;
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    api.gladly.hide_item(&item);
    assert_eq!(
        api.get(&format!("/conversation-items/{item}")).await.status,
        400
    );
}

#[tokio::test]
async fn a_merged_conversation_has_moved_with_its_items() {
    let api = Api::start().await;
    let (source, kept) = (
        api.gladly.add_conversation("G."),
        api.gladly.add_conversation("Grace"),
    );
    let item = api.gladly.customer_says(&source, &Message::chat("Hi"));
    api.gladly.merge(&source, &kept);
    let moved = api.get(&format!("/conversations/{source}")).await;
    assert_eq!(moved.status, 301);
    let location = format!("/api/v1/conversations/{kept}");
    assert_eq!(moved.header("Location"), Some(location.as_str()));
    let shown = api.get(&format!("/conversation-items/{item}")).await.body;
    assert_eq!(shown["conversationId"], kept);
}

#[tokio::test]
async fn the_rate_limit_counts_all_calls_and_tells_what_is_left() {
    let api = Api::with(|options| {
        options.requests_per_second = Some(3);
        options.rate_window = Duration::from_hours(1);
        options.retry_after_seconds = Some(1);
    })
    .await;
    let id = api.gladly.add_conversation("Grace");
    let path = format!("/conversations/{id}");
    let calls = [
        api.get(&path),
        api.get("/nope"),
        api.get(&path),
        api.get("/inboxes"),
    ];
    let answers = futures_util::future::join_all(calls).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        1,
        "{statuses:?}"
    );
    let mut left: Vec<_> = answers
        .iter()
        .map(|answer| answer.header("Ratelimit-Remaining-Second").unwrap())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["0", "0", "1", "2"]);
    assert!(
        answers
            .iter()
            .all(|answer| answer.header("Ratelimit-Limit-Second") == Some("3"))
    );
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(api.gladly.rate_limited(), 1);
}

#[tokio::test]
async fn events_of_the_last_day_are_listed_as_json_lines() {
    let api = Api::with(|options| options.message_events = MessageEvents::Both).await;
    let id = api.gladly.add_conversation("Grace");
    let item = api
        .gladly
        .customer_message_without_webhook(&id, &Message::chat("Hi"));
    let hour = jiff::SignedDuration::from_hours(1);
    let now = jiff::Timestamp::now();
    let list = async |start: jiff::Timestamp, more: &str| {
        let options = api.gladly.options();
        let url = format!(
            "{}/api/v1/events?startAt={start}&endAt={}{more}",
            api.gladly.url(),
            now + hour
        );
        let request = plain_client()
            .get(url)
            .basic_auth(options.username, Some(options.api_token));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, lines) = list(now - hour, "&entities=CONTACT").await;
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((status, events), (200, vec![api.gladly.payload_for(&item)]));
    let (_, all) = list(now - hour, "").await;
    assert_eq!(
        all.lines().count(),
        3,
        "created, and the message's two: {all}"
    );
    let (status, _) = list(now - hour * 25, "").await;
    assert_eq!(status, 400);
    assert_eq!(
        api.get("/events?startAt=yesterday&endAt=today")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn requests_are_recorded_in_order_with_their_status() {
    let api = Api::start().await;
    api.get("/inboxes").await;
    api.get("/agents/nope").await;
    let seen: Vec<_> = api
        .gladly
        .requests()
        .iter()
        .map(|request| (request.operation, request.status))
        .collect();
    assert_eq!(
        seen,
        [
            (Operation::ListInboxes, Some(200)),
            (Operation::GetAgent, Some(404))
        ]
    );
}
