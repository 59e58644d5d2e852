//! The simulated Gladly delivers webhooks as Gladly does.

use std::time::Duration;

use gladly_relay::sim::{Chaos, Message, MessageEvents, WebhookSpec};
use serde_json::{Value, json};

use super::sim_support::{Api, Receiver, soon};

fn types(receiver: &Receiver) -> Vec<String> {
    let calls = receiver.calls();
    let mut types: Vec<String> = calls
        .iter()
        .map(|(_, body)| body["type"].as_str().unwrap().to_owned())
        .collect();
    types.sort();
    types
}

async fn delivered(api: &Api) {
    soon(api.gladly.wait_for(|world| world.undelivered() == 0)).await;
}

fn quick_retries(options: &mut gladly_relay::sim::GladlyOptions) {
    options.delivery.retry_delays = vec![Duration::ZERO; 4];
}

#[tokio::test]
async fn a_message_is_told_with_the_headers_the_credentials_and_its_holder() {
    let (api, receiver) = (Api::start().await, Receiver::answering(&[]).await);
    let id = api.gladly.add_conversation("Grace");
    let mut spec = WebhookSpec::relay(&receiver.url, "acme-secret");
    spec.credentials = Some(("user".to_owned(), "pass".to_owned()));
    api.gladly.register_webhook(spec);
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    let (headers, body) = receiver.calls().remove(0);
    assert_eq!(headers["X-Account-Identifier"], "acme-secret");
    assert_eq!(headers["Authorization"], "Basic dXNlcjpwYXNz");
    assert_eq!(body, api.gladly.payload_for(&item));
    assert_eq!(body["content"]["messageId"], item);
    assert_eq!(body["content"]["channel"], "CHAT");
    assert_eq!(
        body["content"]["context"]["assignee"],
        json!({ "inboxId": "ai-inbox" })
    );
    assert_eq!(body["initiator"]["type"], "CUSTOMER");
}

#[tokio::test]
async fn a_message_that_a_rule_moves_on_names_the_inbox_before() {
    let (api, receiver) = (Api::start().await, Receiver::answering(&[]).await);
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    let (message, before) = (Message::chat("Hi"), "other-inbox");
    let item = api
        .gladly
        .customer_says_before_a_rule(&id, &message, before);
    delivered(&api).await;
    let told = api.gladly.payload_for(&item);
    assert_eq!(told["content"]["context"]["assignee"]["inboxId"], before);
    assert_eq!(
        types(&receiver),
        ["CONTACT/MESSAGE_RECEIVED", "CONVERSATION_ASSIGNEE/UPDATED"]
    );
    assert_eq!(api.gladly.conversation(&id).unwrap().inbox_id, "ai-inbox");
}

#[tokio::test]
async fn both_message_events_have_ids_of_their_own() {
    let receiver = Receiver::answering(&[]).await;
    let api = Api::with(|options| options.message_events = MessageEvents::Both).await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    assert_eq!(
        types(&receiver),
        ["CONTACT/MESSAGE_RECEIVED", "MESSAGE/RECEIVED"]
    );
    let calls = receiver.calls();
    assert_ne!(calls[0].1["id"], calls[1].1["id"]);
}

#[tokio::test]
async fn what_people_do_is_told() {
    let (api, receiver) = (Api::start().await, Receiver::answering(&[]).await);
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    let (id, other) = (
        api.gladly.add_conversation("Grace"),
        api.gladly.add_conversation("G."),
    );
    api.gladly.take_over(&id);
    api.gladly.move_to(&id, "other-inbox", None);
    api.gladly.close(&id);
    api.gladly.reopen(&id);
    api.gladly.merge(&other, &id);
    delivered(&api).await;
    assert_eq!(
        types(&receiver),
        [
            "CONVERSATION/CLOSED",
            "CONVERSATION/CREATED",
            "CONVERSATION/CREATED",
            "CONVERSATION/REOPENED",
            "CONVERSATION_ASSIGNEE/UPDATED",
            "CONVERSATION_ASSIGNEE/UPDATED",
            "CONVERSATION_STATUS/UPDATED",
            "CONVERSATION_STATUS/UPDATED",
            "CUSTOMER/MERGED",
        ]
    );
}

#[tokio::test]
async fn a_patch_is_told_with_the_holder_before_and_after() {
    let (api, receiver) = (Api::start().await, Receiver::answering(&[]).await);
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    let body = json!({ "assignee": { "inboxId": "human-inbox", "agentId": null } });
    assert_eq!(
        api.patch(&format!("/conversations/{id}"), body)
            .await
            .status,
        204
    );
    delivered(&api).await;
    let (_, event) = receiver.calls().remove(0);
    assert_eq!(event["type"], "CONVERSATION_ASSIGNEE/UPDATED");
    assert_eq!(
        event["content"]["assignee"],
        json!({ "inboxId": "human-inbox" })
    );
    assert_eq!(
        event["content"]["context"]["assignee"]["inboxId"],
        "ai-inbox"
    );
    assert_eq!(event["initiator"]["type"], "API");
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_until_it_is_taken() {
    let receiver = Receiver::answering(&[503, 406, 200]).await;
    let api = Api::with(quick_retries).await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    let statuses: Vec<_> = api
        .gladly
        .deliveries()
        .iter()
        .map(|delivery| delivery.status)
        .collect();
    assert_eq!(statuses, [Some(503), Some(406), Some(200)]);
    assert_eq!(receiver.calls()[0].1, receiver.calls()[2].1);
}

#[tokio::test]
async fn the_fourth_failure_switches_the_webhook_off() {
    let receiver = Receiver::answering(&[500]).await;
    let api = Api::with(quick_retries).await;
    let id = api.gladly.add_conversation("Grace");
    let webhook = api
        .gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    assert_eq!(api.gladly.deliveries().len(), 4);
    let shown = api.get(&format!("/webhooks/{webhook}")).await.body;
    assert_eq!(shown["enabled"], false);
    assert!(shown["disabledAtDueToRetryLimit"].is_string());
    api.gladly.customer_says(&id, &Message::chat("Anyone?"));
    assert_eq!(
        api.gladly.deliveries().len(),
        4,
        "nothing is delivered until it is on again"
    );
}

#[tokio::test]
async fn without_the_switch_off_all_retries_are_made() {
    let receiver = Receiver::answering(&[500]).await;
    let api = Api::with(|options| {
        quick_retries(options);
        options.delivery.disable_after_failures = None;
    })
    .await;
    let id = api.gladly.add_conversation("Grace");
    let webhook = api
        .gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    assert_eq!(api.gladly.deliveries().len(), 5);
    assert_eq!(api.gladly.webhook(&webhook).unwrap()["enabled"], true);
}

#[tokio::test]
async fn a_webhook_that_nobody_answers_counts_as_failed() {
    let api = Api::with(|options| {
        quick_retries(options);
        options.delivery.disable_after_failures = Some(1);
    })
    .await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay("http://127.0.0.1:1/hook", "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    assert_eq!(api.gladly.deliveries()[0].status, None);
}

#[tokio::test]
async fn chaos_delivers_twice_and_late_but_delivers() {
    let receiver = Receiver::answering(&[]).await;
    let chaos = Chaos {
        duplicate: 1.0,
        delay: 1.0,
        longest_delay: Duration::from_millis(5),
    };
    let api = Api::with(|options| options.delivery.chaos = chaos).await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    delivered(&api).await;
    assert_eq!(receiver.calls().len(), 2);
    assert_eq!(receiver.calls()[0].1, receiver.calls()[1].1);
}

fn wanted(url: &str) -> Value {
    json!({ "name": "Relay", "url": url, "events": ["CONTACT/MESSAGE_RECEIVED"],
        "headers": { "X-Account-Identifier": "acme" }, "enabled": true })
}

#[tokio::test]
async fn an_enabled_webhook_is_saved_only_if_it_answers_the_ping() {
    let (api, receiver) = (
        Api::start().await,
        Receiver::answering(&[500, 201, 200]).await,
    );
    for _ in 0..2 {
        let refused = api.post("/webhooks", wanted(&receiver.url)).await;
        refused.refused("url", "invalid");
    }
    assert_eq!(api.get("/webhooks").await.body, json!([]));
    let id = api
        .post("/webhooks", wanted(&receiver.url))
        .await
        .created_id();
    assert_eq!(types(&receiver), ["PING", "PING", "PING"]);
    let shown = api.get(&format!("/webhooks/{id}")).await.body;
    assert_eq!(shown["headerKeys"], json!(["X-Account-Identifier"]));
    assert_eq!(shown["hasCredentials"], false);
    assert!(shown.get("headers").is_none() && shown.get("disabledAtDueToRetryLimit").is_none());
}

#[tokio::test]
async fn a_webhook_is_checked_field_by_field() {
    let (api, receiver) = (Api::start().await, Receiver::answering(&[]).await);
    api.post("/webhooks", wanted(&receiver.url))
        .await
        .created_id();
    for (field, value, code) in [
        ("name", json!("n".repeat(201)), "too_long"),
        ("name", json!(""), "blank"),
        ("url", json!("http://example.com/hook"), "invalid"),
        ("url", json!("nonsense"), "invalid"),
        ("url", json!(receiver.url), "taken"),
        ("events", json!([]), "blank"),
        ("events", json!(["MESSAGE/RECEIVED"]), "invalid"),
        ("headers", json!({ "a b": "c" }), "invalid"),
        ("enabled", json!("yes"), "invalid"),
    ] {
        let mut body = wanted("https://example.com/hook");
        body["enabled"] = json!(false);
        body[field] = value;
        api.post("/webhooks", body).await.refused(field, code);
    }
    assert_eq!(api.get("/webhooks").await.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn switching_a_webhook_on_again_pings_it_and_only_a_disabled_one_is_deleted() {
    let (api, receiver) = (Api::start().await, Receiver::answering(&[]).await);
    let mut body = wanted(&receiver.url);
    body["enabled"] = json!(false);
    let id = api.post("/webhooks", body).await.created_id();
    assert!(receiver.calls().is_empty());
    let path = format!("/webhooks/{id}");
    assert_eq!(
        api.patch(&path, json!({ "enabled": true })).await.status,
        204
    );
    assert_eq!(types(&receiver), ["PING"]);
    assert_eq!(
        api.patch(&path, json!({ "name": "Other" })).await.status,
        204
    );
    assert_eq!(receiver.calls().len(), 1, "neither enabled now nor moved");
    api.delete(&path).await.refused("enabled", "invalid_state");
    assert_eq!(
        api.patch(&path, json!({ "enabled": false })).await.status,
        204
    );
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn an_organization_has_at_most_20_webhooks() {
    let api = Api::start().await;
    for number in 0..20 {
        api.gladly
            .register_webhook(WebhookSpec::relay(format!("https://x.test/{number}"), "a"));
    }
    let mut body = wanted("https://example.com/hook");
    body["enabled"] = json!(false);
    assert_eq!(api.post("/webhooks", body).await.status, 400);
}

#[tokio::test]
async fn shutdown_ends_retries_that_wait() {
    let api = Api::start().await;
    let receiver = Receiver::answering(&[500]).await;
    let id = api.gladly.add_conversation("Grace");
    api.gladly
        .register_webhook(WebhookSpec::relay(&receiver.url, "acme"));
    api.gladly.customer_says(&id, &Message::chat("Hi"));
    soon(api.gladly.wait_for(|world| world.deliveries().len() == 1)).await;
    soon(api.gladly.shutdown()).await;
}
