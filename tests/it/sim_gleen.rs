//! The simulated Gleen keeps to the contract of Gleen's API.

use gladly_relay::sim::{
    Answer as BotAnswer, Gleen, GleenOptions, Operation, Responder, WhenUnknown,
};
use serde_json::{Value, json};

use super::sim_support::{Answer, plain_client, soon};

async fn start() -> Gleen {
    Gleen::start(GleenOptions::default()).await.unwrap()
}

async fn ask(gleen: &Gleen, body: Value) -> Answer {
    let url = format!("{}/api/v1/send_message", gleen.url());
    let request = plain_client()
        .post(url)
        .bearer_auth(gleen.options().api_key)
        .json(&body);
    Answer::of(request).await.unwrap()
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let gleen = start().await;
    let url = format!("{}/api/v1/send_message", gleen.url());
    let body = json!({ "query_text": "Hi" });
    for request in [
        plain_client().post(&url).json(&body),
        plain_client().post(&url).json(&body).bearer_auth("wrong"),
        plain_client()
            .post(&url)
            .json(&body)
            .basic_auth("gleen-key", Some("")),
    ] {
        assert_eq!(Answer::of(request).await.unwrap().status, 401);
    }
    assert!(gleen.questions().is_empty());
}

#[tokio::test]
async fn a_wrong_body_is_refused() {
    let gleen = start().await;
    for body in [
        json!([]),
        json!({}),
        json!({ "query_text": " " }),
        json!({ "query_text": 1 }),
        json!({ "query_text": "Hi", "thread_id": 802_300 }),
        json!({ "query_text": "Hi", "thread_id": null }),
        json!({ "query_text": "Hi", "locale": 1 }),
        json!({ "query_text": "Hi", "stream": true }),
    ] {
        assert_eq!(ask(&gleen, body.clone()).await.status, 400, "{body}");
    }
    assert!(gleen.questions().is_empty());
}

#[tokio::test]
async fn a_thread_starts_by_itself_and_remembers() {
    let gleen = start().await;
    let first = ask(
        &gleen,
        json!({ "query_text": "Where is my order?", "thread_id": "" }),
    )
    .await;
    let thread_id = first.body["thread_id"].as_str().unwrap().to_owned();
    let body = json!({ "query_text": "12345", "thread_id": thread_id, "stream": false });
    let second = ask(&gleen, body).await;
    assert!(
        second.body["response"]
            .as_str()
            .unwrap()
            .contains("tomorrow"),
        "{}",
        second.body
    );
    let questions = gleen.questions();
    assert_eq!(questions[1].thread_id, thread_id);
    assert_eq!(questions[1].before, ["Where is my order?"]);
}

#[tokio::test]
async fn an_unknown_or_forgotten_thread_is_refused() {
    let gleen = start().await;
    let unknown = json!({ "query_text": "Hi", "thread_id": "1" });
    assert_eq!(ask(&gleen, unknown.clone()).await.status, 404);
    gleen.configure(|options| options.unknown_thread_status = 422);
    assert_eq!(ask(&gleen, unknown).await.status, 422);
    let thread_id = ask(&gleen, json!({ "query_text": "Hi" })).await.body["thread_id"].clone();
    gleen.forget_threads();
    let forgotten = json!({ "query_text": "Hi", "thread_id": thread_id });
    assert_eq!(ask(&gleen, forgotten).await.status, 422);
}

#[tokio::test]
async fn answers_come_from_the_script_then_the_responder() {
    let gleen = start().await;
    gleen.configure(|options| {
        options.answer_field = "content".to_owned();
        options.thread_id_as_number = true;
        options.responder = Some(Responder::new(|question| {
            BotAnswer::Text(format!("re: {}", question.text))
        }));
    });
    gleen.answer_next(json!({ "nothing": ["usual"] }));
    gleen.answer_next(BotAnswer::Raw("{oops".to_owned()));
    let question = json!({ "query_text": "Hi" });
    assert_eq!(
        ask(&gleen, question.clone()).await.body,
        json!({ "nothing": ["usual"] })
    );
    assert_eq!(ask(&gleen, question.clone()).await.body, Value::Null);
    let usual = ask(&gleen, question).await.body;
    assert_eq!(usual["content"], "re: Hi");
    assert!(usual["thread_id"].is_u64());
}

#[tokio::test]
async fn what_it_does_not_know_it_says_as_told() {
    let gleen = start().await;
    let question = json!({ "query_text": "Quantum chromodynamics?" });
    assert_eq!(ask(&gleen, question.clone()).await.body["handoff"], true);
    gleen.configure(|options| options.when_unknown = WhenUnknown::Empty);
    assert_eq!(ask(&gleen, question).await.body["response"], "");
}

#[tokio::test]
async fn questions_in_flight_are_counted() {
    let gleen = start().await;
    let (first, second) = (
        gleen.hold_next(Operation::SendMessage),
        gleen.hold_next(Operation::SendMessage),
    );
    let calls = [(); 2].map(|()| {
        let gleen = gleen.clone();
        tokio::spawn(async move { ask(&gleen, json!({ "query_text": "Hi" })).await.status })
    });
    soon(gleen.wait_for(|world| world.in_flight() == 2)).await;
    first.release();
    second.release();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    soon(gleen.wait_for(|world| world.in_flight() == 0 && world.max_in_flight() == 2)).await;
}
