//! Nothing that is told of what was holds anybody's words, or a secret.

use gladly_relay::sim::{Answer, Question, Responder};

use super::*;
use crate::support::IDENTIFIER;

const NEEDLE: &str = "needle-4c1d77";

#[tokio::test]
async fn nothing_that_is_told_holds_words_or_secrets() {
    let relay = TestRelay::start().await;
    relay.gleen.configure(|options| {
        let answer = |question: &Question| Answer::Text(format!("{NEEDLE}! {}", question.text));
        options.responder = Some(Responder::new(answer));
    });
    let mut conversations = Vec::new();
    let mut says = async |text: &str, outcomes: usize| {
        let conversation = relay.conversation();
        relay.says(&conversation, &format!("{text} {NEEDLE}"));
        let outcome = relay.outcomes(outcomes).await.remove(outcomes - 1);
        conversations.push(conversation);
        outcome
    };
    assert_eq!(says("where is", 1).await, Outcome::Replied);
    let human = says("I want to talk to a real person about", 2).await;
    assert_eq!(human, Outcome::HandedOff(HandoffReason::CustomerRequested));
    // Whatever a call that fails says of itself.
    relay.gladly.spoil_next(Operation::Reply, What::status(400));
    let rejected = says("why is", 3).await;
    assert_eq!(rejected, Outcome::HandedOff(HandoffReason::ReplyRejected));
    relay.gleen.down(Outage::Status(500));
    let failed = says("who is", 4).await;
    assert_eq!(failed, Outcome::HandedOff(HandoffReason::BotError));
    relay.gladly.spoil_next(Operation::Reply, What::CutAfter);
    relay.gleen.up();
    assert_eq!(says("what is", 5).await, Outcome::Replied);
    let taken = relay.conversation();
    relay.gladly.take_over(&taken);
    relay.says(&taken, NEEDLE);
    let skipped = Outcome::Skipped(SkipReason::HumanAssigned);
    assert_eq!(relay.outcomes(6).await[5], skipped);
    conversations.push(taken);
    relay.all_told().await;
    let mut told = vec![
        got(&relay, "/api/turns").await.to_string(),
        got(&relay, "/api/report").await.to_string(),
        said(&relay, &["report"]).await,
        said(&relay, &["report", "--csv"]).await,
    ];
    for conversation in &conversations {
        told.push(explain(&relay, conversation).await);
        told.push(said(&relay, &["explain", conversation, "--json"]).await);
        let path = format!("/api/conversations/acme/{conversation}");
        told.push(got(&relay, &path).await.to_string());
    }
    told.extend(kept(&relay));
    let (gladly, gleen) = (relay.gladly.options(), relay.gleen.options());
    for text in &told {
        for secret in [NEEDLE, IDENTIFIER, &gladly.api_token, &gleen.api_key] {
            assert!(!text.contains(secret), "{secret} stands in {text}");
        }
    }
    relay.finish().await;
}

/// What the store keeps of what was.
fn kept(relay: &TestRelay) -> Vec<String> {
    let mut kept = Vec::new();
    let database = rusqlite::Connection::open(relay.database()).unwrap();
    for sql in [
        "SELECT trace FROM turns",
        "SELECT value FROM conversations",
        "SELECT account || what || reason FROM totals",
    ] {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0));
        let rows: Vec<String> = rows.unwrap().filter_map(Result::unwrap).collect();
        assert!(!rows.is_empty(), "{sql}");
        kept.extend(rows);
    }
    kept
}
