//! The admin API's lists, a page at a time.

use super::*;

#[tokio::test]
async fn turns_are_listed_in_pages_and_filtered() {
    let relay = TestRelay::start().await;
    let conversations = story(&relay).await;
    let all = got(&relay, "/api/turns").await;
    let ids = |value: &Value| -> Vec<String> {
        let turns = value["turns"].as_array().unwrap().iter();
        turns
            .map(|turn| turn["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&all), ["5", "4", "3", "2", "1"]);
    assert_eq!(all["next"], Value::Null);
    let first = &all["turns"][4];
    assert_eq!(first["account"], "acme");
    assert_eq!(first["conversation_id"], conversations[0].as_str());
    assert_eq!(
        (&first["outcome"], &first["messages"]),
        (&"replied".into(), &1.into())
    );
    assert!(first["took_ms"].is_u64() && first["finished_at"].is_string());
    let (mut seen, mut path) = (Vec::new(), "/api/turns?limit=2".to_owned());
    loop {
        let page = got(&relay, &path).await;
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/turns?limit=2&before={next}");
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1"]);
    for (query, found) in [
        ("outcome=skipped", &["5", "4"][..]),
        ("outcome=handed_off&reason=customer_requested", &["2"]),
        ("outcome=running", &[]),
        ("reason=human_assigned&account=acme", &["4"]),
        ("account=other", &[]),
        ("since=1h", &["5", "4", "3", "2", "1"]),
        ("since=2999-01-01T00:00:00Z", &[]),
        (&*format!("conversation_id={}", conversations[1]), &["2"]),
        ("outcome=%3Cscript%3E", &[]),
    ] {
        let page = got(&relay, &format!("/api/turns?{query}")).await;
        assert_eq!(ids(&page), found, "{query}");
    }
    for wrong in [
        "limit=0",
        "limit=501",
        "limit=x",
        "before=x",
        "since=x",
        "conversation_id=a/b",
    ] {
        let (status, problem) = get(&relay, &format!("/api/turns?{wrong}")).await;
        assert_eq!((status, &problem["status"]), (400, &400.into()), "{wrong}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_conversation_is_what_explain_prints_as_json() {
    let relay = TestRelay::start().await;
    let conversations = story(&relay).await;
    let conversation = &conversations[3];
    let path = format!("/api/conversations/acme/{conversation}");
    let answered = got(&relay, &path).await;
    let printed = said(&relay, &["explain", conversation, "--json"]).await;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, answered);
    assert_eq!(answered["turns"][0]["outcome"], "skipped");
    assert_eq!(answered["turns"][0]["reason"], "human_assigned");
    assert_eq!(answered["facts"]["status"], "open");
    assert_eq!(answered["facts"]["inbox_id"], "ai-inbox");
    let timeline = answered["timeline"].as_array().unwrap();
    assert!(
        timeline
            .iter()
            .all(|entry| entry["at"].is_string() && entry["what"].is_string())
    );
    for path in [
        "/api/conversations/acme/nobody-knows",
        "/api/conversations/other/nobody-knows",
        "/api/conversations/acme/a%2F..%2Fb",
        "/api/conversations/acme/%1b%5b2J",
    ] {
        assert_eq!(get(&relay, path).await.0, 404, "{path}");
    }
    let (status, _) = get(&relay, "/api/report?since=x").await;
    assert_eq!(status, 400);
    relay.finish().await;
}
