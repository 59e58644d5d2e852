//! What changes is seen without reloading, and somebody who chooses is not interrupted.

use gladly_relay::sim::Operation;

use super::{make_dead_letters, url};
use crate::support::{Browser, Setup, TestRelay, soon};

#[tokio::test]
async fn a_waiting_customer_and_a_dead_letter_are_seen_without_reloading() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/")).await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    page.eval("window.mark = 'the same page'").await;
    let held = relay.gladly.hold_next(Operation::GetItem);
    let conversation = relay.conversation();
    relay.says(&conversation, "hello");
    soon(held.reached()).await;
    page.until("document.querySelector('.card').innerText.includes('the longest for')")
        .await;
    held.release();
    relay.outcomes(1).await;
    page.until("/Waiting\\s+nobody/.test(document.querySelector('.card').innerText)")
        .await;
    make_dead_letters(&relay, 1).await;
    page.until("document.querySelector('#concerns').innerText.includes('dead letters')")
        .await;
    assert_eq!(page.eval("window.mark").await, "the same page");
    relay.finish().await;
}

#[tokio::test]
async fn somebody_who_chooses_is_not_interrupted() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    make_dead_letters(&relay, 0).await;
    let page = browser.page().await;
    page.open(&url(&relay, "/dead-letters")).await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    page.click("[value='2']").await;
    relay.outcome_of("hello").await;
    page.until("document.getElementById('live').innerText === 'Paused'")
        .await;
    assert_eq!(
        page.eval("document.querySelector(\"[value='2']\").checked")
            .await,
        true
    );
    page.click("[value='2']").await;
    page.eval("document.activeElement.blur()").await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_is_gone_is_told_from_one_that_is_quiet() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let mut relay = TestRelay::start().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/")).await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    relay.stop().await;
    page.until("document.getElementById('live').innerText === 'Not live'")
        .await;
}
