//! Faults spoil exactly the calls they are meant for, with or without effect.

use std::time::Duration;

use axum::http::Method;
use gladly_relay::sim::{Fault, Message, Operation, Outage, What, When};
use serde_json::json;

use super::sim_support::{Answer, Api, soon};

/// A conversation with one message, and the path and body of a reply to it.
fn message(api: &Api) -> (String, String) {
    let id = api.gladly.add_conversation("Grace");
    let item = api.gladly.customer_says(&id, &Message::chat("Hi"));
    (id, item)
}

async fn try_reply(api: &Api, item: &str) -> reqwest::Result<Answer> {
    let content = json!({ "type": "CHAT_MESSAGE", "messageType": "TEXT", "body": "Hello!" });
    let path = format!("/conversation-items/{item}/reply");
    api.call(Method::POST, &path, Some(json!({ "content": content })))
        .await
}

fn replies(api: &Api, id: &str) -> usize {
    api.gladly.conversation(id).unwrap().replies().len()
}

#[tokio::test]
async fn a_call_cut_before_has_no_effect() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    api.gladly.spoil_next(Operation::Reply, What::CutBefore);
    assert!(try_reply(&api, &item).await.is_err());
    assert_eq!(replies(&api, &id), 0);
    assert_eq!(try_reply(&api, &item).await.unwrap().status, 201);
    let statuses: Vec<_> = api
        .gladly
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [None, Some(201)]);
}

#[tokio::test]
async fn a_call_cut_after_has_its_effect() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    api.gladly.spoil_next(Operation::Reply, What::CutAfter);
    assert!(try_reply(&api, &item).await.is_err());
    assert_eq!(replies(&api, &id), 1);
}

#[tokio::test]
async fn a_status_comes_without_and_a_status_after_with_the_effect() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    api.gladly.spoil_next(Operation::Reply, What::too_many(7));
    api.gladly
        .spoil_next(Operation::Reply, What::StatusAfter(502));
    let refused = try_reply(&api, &item).await.unwrap();
    assert_eq!(
        (refused.status, refused.header("Retry-After")),
        (429, Some("7"))
    );
    assert_eq!(replies(&api, &id), 0);
    assert_eq!(try_reply(&api, &item).await.unwrap().status, 502);
    assert_eq!(replies(&api, &id), 1);
}

#[tokio::test]
async fn garbage_is_a_200_that_is_no_json() {
    let api = Api::start().await;
    api.gladly.spoil_next(Operation::ListInboxes, What::Garbage);
    let answer = api.get("/inboxes").await;
    assert_eq!((answer.status, answer.body), (200, json!(null)));
}

#[tokio::test]
async fn a_caller_that_leaves_during_a_delay_causes_no_effect() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    api.gladly
        .spoil_next(Operation::Reply, What::Delay(Duration::from_hours(1)));
    {
        let mut call = std::pin::pin!(try_reply(&api, &item));
        tokio::select! {
            _ = &mut call => unreachable!("it is held for an hour"),
            () = soon(api.gladly.wait_for(|world| world.in_flight() == 1)) => {}
        }
    }
    soon(api.gladly.wait_for(|world| world.in_flight() == 0)).await;
    assert_eq!(replies(&api, &id), 0);
}

#[tokio::test]
async fn a_caller_that_leaves_after_the_effect_does_not_undo_it() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    api.gladly
        .spoil_next(Operation::Reply, What::DelayAfter(Duration::from_hours(1)));
    {
        let mut call = std::pin::pin!(try_reply(&api, &item));
        let replied = api
            .gladly
            .wait_for(|world| !world.conversation(&id).unwrap().replies().is_empty());
        tokio::select! {
            _ = &mut call => unreachable!("its answer is held for an hour"),
            () = soon(replied) => {}
        }
    }
    soon(api.gladly.wait_for(|world| world.in_flight() == 0)).await;
    assert_eq!(replies(&api, &id), 1);
}

#[tokio::test]
async fn a_held_call_waits_before_its_effect_until_it_is_released() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    let hold = api.gladly.hold_next(Operation::Reply);
    let test = async {
        soon(hold.reached()).await;
        assert_eq!(replies(&api, &id), 0);
        hold.release();
    };
    let (answer, ()) = tokio::join!(try_reply(&api, &item), test);
    assert_eq!(answer.unwrap().status, 201);
}

#[tokio::test]
async fn a_held_answer_waits_after_the_effect() {
    let api = Api::start().await;
    let (id, item) = message(&api);
    let hold = api.gladly.hold_next_answer(Operation::Reply);
    let test = async {
        soon(hold.reached()).await;
        assert_eq!(replies(&api, &id), 1);
        hold.release();
    };
    let (answer, ()) = tokio::join!(try_reply(&api, &item), test);
    assert_eq!(answer.unwrap().status, 201);
}

#[tokio::test]
async fn the_nth_call_of_any_kind_can_be_picked() {
    let api = Api::start().await;
    let fault = Fault {
        operation: None,
        when: When::Nth(3),
        what: What::status(500),
    };
    api.gladly.fault(fault);
    let mut statuses = Vec::new();
    for path in ["/inboxes", "/agents", "/organization", "/inboxes"] {
        statuses.push(api.get(path).await.status);
    }
    assert_eq!(statuses, [200, 200, 500, 200]);
}

#[tokio::test]
async fn a_fault_can_be_about_one_conversation_or_one_item() {
    let api = Api::start().await;
    let [(id, item), (other, other_item)] = [message(&api), message(&api)];
    for (about, operation) in [(&id, Operation::GetConversation), (&item, Operation::Reply)] {
        let fault = Fault {
            operation: Some(operation),
            when: When::Always,
            what: What::status(403),
        };
        api.gladly.fault_about(about, fault);
    }
    let statuses = async |id: &str, item: &str| {
        let shown = api.get(&format!("/conversations/{id}")).await.status;
        let listed = api.get(&format!("/conversations/{id}/items")).await.status;
        [shown, listed, try_reply(&api, item).await.unwrap().status]
    };
    assert_eq!(statuses(&id, &item).await, [403, 200, 403]);
    assert_eq!(statuses(&other, &other_item).await, [200, 200, 201]);
}

#[tokio::test]
async fn a_fault_can_last_until_it_is_cleared() {
    let api = Api::start().await;
    let operation = Some(Operation::ListInboxes);
    api.gladly.fault(Fault {
        operation,
        when: When::Always,
        what: What::status(503),
    });
    assert_eq!(api.get("/inboxes").await.status, 503);
    assert_eq!(api.get("/agents").await.status, 200);
    assert_eq!(api.get("/inboxes").await.status, 503);
    api.gladly.clear_faults();
    assert_eq!(api.get("/inboxes").await.status, 200);
}

#[tokio::test]
async fn a_probable_fault_strikes_the_same_calls_for_the_same_seed() {
    let strikes = async || {
        let api = Api::with(|options| options.seed = 7).await;
        let when = When::Probability(0.5);
        api.gladly.fault(Fault {
            operation: None,
            when,
            what: What::status(500),
        });
        let mut statuses = Vec::new();
        for _ in 0..12 {
            statuses.push(api.get("/inboxes").await.status);
        }
        statuses
    };
    let first = strikes().await;
    assert!(first.contains(&200) && first.contains(&500), "{first:?}");
    assert_eq!(first, strikes().await);
}

#[tokio::test]
async fn a_service_that_is_down_refuses_everything_until_it_is_up() {
    let api = Api::start().await;
    api.gladly.down(Outage::Status(503));
    assert_eq!(api.get("/inboxes").await.status, 503);
    api.gladly.down(Outage::Cut);
    assert!(api.call(Method::GET, "/inboxes", None).await.is_err());
    api.gladly.up();
    assert_eq!(api.get("/inboxes").await.status, 200);
}
