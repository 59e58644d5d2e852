//! The bot answers in the customer's language where it can be told surely.

use gladly_relay::outcome::Outcome;
use gladly_relay::sim::Message;

use crate::support::{Setup, TestRelay};

const GERMAN: &str =
    "Guten Tag, ich warte seit zwei Wochen auf meine Bestellung. Wann kommt sie endlich an?";

fn locales(relay: &TestRelay) -> Vec<Option<String>> {
    relay
        .gleen
        .questions()
        .into_iter()
        .map(|question| question.locale)
        .collect()
}

#[tokio::test]
async fn a_sure_language_is_told_to_the_bot_and_kept_for_the_conversation() {
    let mut relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of(GERMAN).await;
    relay.says(&conversation, "ok");
    relay.outcomes(2).await;
    relay.restart().await;
    relay.says(&conversation, "12345");
    relay.outcomes(1).await;
    let german = Some("de".to_owned());
    assert_eq!(locales(&relay), [german.clone(), german.clone(), german]);
    relay.finish().await;
}

#[tokio::test]
async fn an_unsure_language_is_left_to_the_bot() {
    let relay = TestRelay::start().await;
    relay.outcome_of("ok").await;
    assert_eq!(locales(&relay), [None]);
    relay.finish().await;
}

#[tokio::test]
async fn telling_the_language_can_be_switched_off() {
    let relay = Setup::policy("detect_language = false").start().await;
    relay.outcome_of(GERMAN).await;
    assert_eq!(locales(&relay), [None]);
    relay.finish().await;
}

#[tokio::test]
async fn the_bot_is_asked_what_the_customer_wrote_and_not_what_they_quoted() {
    let relay = TestRelay::start().await;
    let conversation = relay.conversation();
    let text = "Where is it now?\n\nOn Mon, 2 Nov 2026 at 10:12, Acme Help <help@acme.com> wrote:\n> It is on its way.\n> Your Acme team\n";
    relay
        .gladly
        .customer_says(&conversation, &Message::email("Re: Order", text));
    relay.outcomes(1).await;
    assert_eq!(relay.gleen.questions()[0].text, "Where is it now?");
    relay.finish().await;
}

#[tokio::test]
async fn other_languages_ask_for_a_human_by_the_operators_patterns() {
    let policy = r"ask_for_human = ['\b(mitarbeiter|menschen?) sprechen\b']";
    let relay = Setup::policy(policy).start().await;
    relay
        .outcome_of("Kann ich mit einem MITARBEITER sprechen?")
        .await;
    assert_eq!(relay.gleen.requests().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_language_learnt_before_is_not_told_once_that_is_switched_off() {
    let mut relay = Setup::policy("detect_language = true").start().await;
    let german = "Guten Tag, ich habe meine Bestellung leider noch nicht bekommen.";
    let (conversation, _) = relay.outcome_of(german).await;
    relay.toml = relay
        .toml
        .replace("detect_language = true", "detect_language = false");
    relay.restart().await;
    relay.says(&conversation, "12345");
    assert_eq!(relay.next_outcome().await, Outcome::Replied);
    let questions = relay.gleen.questions();
    let locales = questions.iter().map(|question| question.locale.as_deref());
    assert_eq!(locales.collect::<Vec<_>>(), [Some("de"), None]);
    relay.finish().await;
}
