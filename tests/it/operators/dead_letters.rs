//! Dead letters are retried and dropped by clicking: one, those chosen, all that match;
//! nothing without a confirmation that says how many.

use gladly_relay::outcome::HandoffReason::CustomerRequested;
use gladly_relay::outcome::Outcome;

use super::{json_of, make_dead_letters, url};
use crate::support::{Browser, Setup, TestRelay};

async fn with_dead_letters() -> TestRelay {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    make_dead_letters(&relay, 0).await;
    relay
}

async fn left(relay: &TestRelay) -> usize {
    json_of(relay, "/api/dead").await.as_array().unwrap().len()
}

#[tokio::test]
async fn one_is_retried_by_clicking_once_it_is_confirmed() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_dead_letters().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/")).await;
    page.follow("#concerns a").await;
    page.follow("[aria-label='Retry dead letter 1']").await;
    let text = page.text().await;
    assert!(text.contains("Retry 1 dead letter?"), "{text}");
    assert!(text.contains("This can't be undone."), "{text}");
    assert!(text.contains("a human gets the conversation"), "{text}");
    assert_eq!(left(&relay).await, 3, "nothing is done yet");
    page.follow("button.main").await;
    let said = page.eval("document.getElementById('done').innerText").await;
    assert_eq!(said, "1 dead letter retried.");
    assert_eq!(
        relay.outcomes(3).await[2],
        Outcome::HandedOff(CustomerRequested)
    );
    assert_eq!(left(&relay).await, 2);
    relay.finish().await;
}

#[tokio::test]
async fn those_chosen_are_dropped_and_a_cancelled_confirmation_does_nothing() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_dead_letters().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/dead-letters")).await;
    page.follow("button[value=drop]").await;
    assert!(page.text().await.contains("Nothing was chosen."));
    for id in [1, 3] {
        page.click(&format!("[value='{id}']")).await;
    }
    page.follow("button[value=drop]").await;
    let text = page.text().await;
    assert!(text.contains("Drop 2 dead letters?"), "{text}");
    assert!(text.contains("The relay forgets these for good"), "{text}");
    page.follow(".sure a").await;
    assert_eq!(left(&relay).await, 3);
    for id in [1, 3] {
        page.click(&format!("[value='{id}']")).await;
    }
    page.follow("button[value=drop]").await;
    page.follow("button.danger").await;
    assert!(page.text().await.contains("2 dead letters dropped."));
    assert_eq!(json_of(&relay, "/api/dead").await[0]["id"], 2);
    relay.finish().await;
}

#[tokio::test]
async fn all_of_a_cause_are_dropped_without_a_script_and_no_others() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_dead_letters().await;
    let page = browser.page().await;
    page.scripts(false).await;
    page.open(&url(&relay, "/dead-letters")).await;
    let groups = page
        .eval("document.querySelectorAll('.group').length")
        .await;
    assert_eq!(groups, 2, "one of two turns, one of a webhook");
    page.follow(".all a:last-of-type").await;
    assert!(page.text().await.contains("Drop 2 dead letters?"));
    page.follow("button.danger").await;
    assert!(page.text().await.contains("2 dead letters dropped."));
    let rest = json_of(&relay, "/api/dead").await;
    assert_eq!(rest.as_array().unwrap().len(), 1);
    assert_eq!(rest[0]["kind"], "CONTACT/MESSAGE_RECEIVED");
    relay.finish().await;
}

#[tokio::test]
async fn what_somebody_else_has_settled_meanwhile_is_said() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_dead_letters().await;
    let [page, other] = [browser.page().await, browser.page().await];
    for page in [&page, &other] {
        page.open(&url(&relay, "/dead-letters/confirm?action=drop&id=1&id=2"))
            .await;
    }
    other.follow("button.danger").await;
    page.follow("button.danger").await;
    let text = page.text().await;
    assert!(
        text.contains("0 dead letters dropped. 2 had been settled"),
        "{text}"
    );
    relay.finish().await;
}
