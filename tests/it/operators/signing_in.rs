//! Signing in and out in a browser.

use super::{TOKEN, url, with_a_password};
use crate::support::Browser;

#[tokio::test]
async fn the_token_opens_the_page_that_was_asked_for_and_a_wrong_one_does_not() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_a_password().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/dead-letters?account=acme")).await;
    assert_eq!(page.eval("location.pathname").await, "/sign-in");
    page.fill("#token", "wrong").await;
    page.follow("button").await;
    assert!(page.text().await.contains("This is not the admin token."));
    assert_eq!(page.eval("document.cookie").await, "");
    page.fill("#token", TOKEN).await;
    page.follow("button").await;
    let at = page.eval("location.pathname + location.search").await;
    assert_eq!(at, "/dead-letters?account=acme");
    assert_eq!(page.eval("document.cookie").await, "", "no script reads it");
    page.follow("form[action='/sign-out'] button").await;
    assert_eq!(page.eval("location.pathname").await, "/sign-in");
    page.open(&url(&relay, "/")).await;
    assert_eq!(page.eval("location.pathname").await, "/sign-in");
    relay.finish().await;
}

/// Browsers tell such a server where a form comes from by `Origin` alone.
#[tokio::test]
async fn forms_work_on_plain_http_by_another_name() {
    let Some(browser) = Browser::start("relay.internal").await else {
        return;
    };
    let relay = with_a_password().await;
    let page = browser.page().await;
    let named = url(&relay, "/").replace("127.0.0.1", "relay.internal");
    page.open(&named).await;
    page.fill("#token", TOKEN).await;
    page.follow("button").await;
    assert!(page.text().await.contains("Nothing needs a person."));
    page.follow("form[action='/sign-out'] button").await;
    assert_eq!(page.eval("location.pathname").await, "/sign-in");
    relay.finish().await;
}

#[tokio::test]
async fn a_page_whose_session_is_over_leads_to_the_door() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_a_password().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/dead-letters")).await;
    page.fill("#token", TOKEN).await;
    page.follow("button").await;
    page.leaves(async {
        // Who looks at another tab hears of nothing in this one.
        let other = browser.page().await;
        other.open(&url(&relay, "/")).await;
        other.follow("form[action='/sign-out'] button").await;
        page.to_front().await;
    })
    .await;
    assert_eq!(
        page.eval("location.pathname + location.search").await,
        "/sign-in?to=%2Fdead-letters"
    );
    relay.finish().await;
}
