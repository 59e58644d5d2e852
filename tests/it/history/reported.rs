//! The figures are those of the story.

use super::*;

#[tokio::test]
async fn a_report_tells_what_became_of_the_messages() {
    let relay = TestRelay::start().await;
    let conversations = story(&relay).await;
    relay.gladly.close(&conversations[0]);
    relay.all_told().await;
    let report = got(&relay, "/api/report?since=24h").await;
    let total = &report["total"];
    assert_eq!(
        (&total["messages"], &total["turns"]),
        (&5.into(), &5.into())
    );
    assert_eq!((&total["replied"], &total["dead"]), (&1.into(), &0.into()));
    let reasons = &total["handed_off"]["by_reason"];
    assert_eq!(reasons["customer_requested"], 1);
    assert_eq!(reasons["unsupported_content"], 1);
    assert_eq!(total["skipped"]["by_reason"]["human_assigned"], 1);
    assert_eq!(total["skipped"]["by_reason"]["not_ai_inbox"], 1);
    let of = &total["conversations"];
    assert_eq!(
        (&of["with_a_message"], &of["involved"]),
        (&3.into(), &1.into())
    );
    assert_eq!((&of["answered"], &of["contained"]), (&1.into(), &1.into()));
    let share = &total["rates"]["involvement"];
    assert_eq!(
        (&share["numerator"], &share["denominator"]),
        (&1.into(), &3.into())
    );
    assert_eq!(
        (&share["rate"], &share["too_few"]),
        (&Value::Null, &true.into())
    );
    assert!(total["gladly_calls"].as_u64().unwrap() >= 6, "{total}");
    assert_eq!(report["before"]["turns"], 0);
    assert_eq!(report["accounts"][0]["account"], "acme");
    assert_eq!(report["time_zone"], "UTC");
    let printed = said(&relay, &["report", "--since", "24h", "--json"]).await;
    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    // Each reads the clock by itself, and an hour may have begun between.
    for span in ["since", "until"] {
        printed[span] = report[span].clone();
    }
    assert_eq!(printed, report);
    let text = said(&relay, &["report"]).await;
    for says in [
        "UTC (7 days), all accounts",
        "too few to tell, 1 of 3",
        "day (UTC)",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let csv = said(&relay, &["report", "--csv", "--account", "acme"]).await;
    assert!(csv.lines().count() >= 2, "{csv}");
    assert!(csv.starts_with("day_utc,account,messages,turns,"), "{csv}");
    let nobody = said(&relay, &["report", "--account", "nobody", "--json"]).await;
    let nobody: Value = serde_json::from_str(&nobody).unwrap();
    assert_eq!(nobody["total"]["turns"], 0);
    let wrong = run(&relay, &["report", "--since", "yesterday"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    relay.finish().await;
}

#[tokio::test]
async fn totals_outlive_the_turns_that_they_count() {
    let relay = TestRelay::start().await;
    relay.outcome_of("hello").await;
    relay.all_told().await;
    soon(relay.running().store.purged(1)).await;
    relay.clock.advance(std::time::Duration::from_hours(8 * 24));
    let_pass(std::time::Duration::from_secs(61)).await;
    soon(relay.running().store.purged(2)).await;
    let turns = got(&relay, "/api/turns").await;
    assert_eq!(turns["turns"].as_array().unwrap().len(), 0);
    let report = got(&relay, "/api/report?since=9d").await;
    assert_eq!(report["total"]["replied"], 1);
    relay.finish().await;
}
