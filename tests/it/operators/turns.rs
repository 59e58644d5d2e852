//! Turns are listed newest first, filtered by an address that can be shared, paged without
//! losing any, and lead to what is told of their conversation.

use std::collections::BTreeSet;

use super::{client, send, url, with_a_story};
use crate::support::{Browser, Page, TestRelay, soon};

async fn html(relay: &TestRelay, path: &str) -> (u16, String) {
    let answer = send(client().get(url(relay, path))).await;
    (answer.status().as_u16(), soon(answer.text()).await.unwrap())
}

/// What stands in a column of the table.
async fn column(page: &Page, name: &str) -> Vec<String> {
    let cells =
        format!("[...document.querySelectorAll('[data-name={name}]')].map((e) => e.innerText)");
    serde_json::from_value(page.eval(&cells).await).unwrap()
}

#[tokio::test]
async fn a_filter_is_chosen_and_stands_in_the_address() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_a_story().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/turns")).await;
    let outcomes = column(&page, "Outcome").await;
    let told = [
        "Dead letter",
        "Dead letter",
        "To humans",
        "Left alone",
        "To humans",
        "Answered",
    ];
    assert_eq!(outcomes, told, "newest first");
    page.eval("document.getElementById('outcome').value = 'handed_off'")
        .await;
    page.follow("[aria-label=Filter] button").await;
    assert_eq!(column(&page, "Outcome").await, ["To humans", "To humans"]);
    assert_eq!(
        column(&page, "Why").await,
        ["bot error", "customer requested"]
    );
    let address = page.eval("location.search").await;
    assert!(address.as_str().unwrap().contains("outcome=handed_off"));
    let shared = browser.page().await;
    let more = "/turns?outcome=handed_off&reason=bot_error&account=acme&since=1h";
    shared.open(&url(&relay, more)).await;
    assert_eq!(column(&shared, "Why").await, ["bot error"]);
    assert_eq!(
        shared.eval("document.getElementById('reason').value").await,
        "bot_error"
    );
    shared.open(&url(&relay, "/turns?account=another")).await;
    assert!(shared.text().await.contains("No turn matches."));
    relay.finish().await;
}

#[tokio::test]
async fn older_turns_are_reached_without_losing_any_that_came_at_the_same_time() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let mut relay = TestRelay::start().await;
    for count in 1..=60 {
        relay.outcome_of("hello").await;
        relay.outcomes(count).await;
    }
    relay.stop().await;
    let database = rusqlite::Connection::open(relay.database()).unwrap();
    let sql = "UPDATE turns SET received_at = (SELECT min(received_at) FROM turns)";
    assert_eq!(database.execute(sql, []).unwrap(), 60);
    drop(database);
    relay.boot().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/turns?outcome=replied")).await;
    let mut seen: BTreeSet<String> = column(&page, "Conversation").await.into_iter().collect();
    assert_eq!(seen.len(), 50);
    page.follow("[rel=next]").await;
    seen.extend(column(&page, "Conversation").await);
    assert_eq!(seen.len(), 60);
    assert!(
        page.eval("document.querySelector('[rel=next]')")
            .await
            .is_null()
    );
    assert!(
        page.eval("location.search")
            .await
            .as_str()
            .unwrap()
            .contains("outcome=replied")
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_new_turn_is_seen_at_once_and_leads_to_what_is_told_of_it() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = TestRelay::start().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/turns")).await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    page.eval("window.mark = 'the same page'").await;
    let (conversation, _) = relay.outcome_of("I want to talk to a human").await;
    page.until("document.querySelector('[data-name=Outcome]')?.innerText === 'To humans'")
        .await;
    assert_eq!(page.eval("window.mark").await, "the same page");
    page.follow("[data-name=Conversation] a").await;
    let told = page.text().await;
    assert!(told.contains(&conversation), "{told}");
    assert!(told.contains("Handed"), "the sentence at the top: {told}");
    let link = page.eval("document.querySelector('.head a').href").await;
    let gladly = format!("{}/conversation/{conversation}", relay.gladly.url());
    assert_eq!(link, gladly.as_str());
    let steps = page
        .eval("document.querySelectorAll('.timeline li').length")
        .await;
    assert!(steps.as_u64().unwrap() > 4, "{told}");
    relay.finish().await;
}

#[tokio::test]
async fn a_conversation_is_found_by_its_id_or_its_address_and_what_is_unknown_is_explained() {
    let relay = TestRelay::start().await;
    let (conversation, _) = relay.outcome_of("hello").await;
    let page = format!("/conversations/acme/{conversation}");
    for given in [
        conversation.clone(),
        format!("%20{conversation}%20"),
        format!("https%3A%2F%2Facme.gladly.com%2Fconversation%2F{conversation}%3Fa%3Db"),
    ] {
        let answer = send(client().get(url(&relay, &format!("/conversations?id={given}")))).await;
        assert_eq!(answer.status(), 303, "{given}");
        assert_eq!(answer.headers()["location"], page.as_str());
    }
    assert_eq!(html(&relay, &page).await.0, 200);
    for (path, part) in [
        ("/conversations?id=unknown", "RELAY_RETENTION"),
        ("/conversations/other/unknown", "RELAY_RETENTION"),
        ("/conversations?id=%3Cscript%3E", "no conversation&#39;s id"),
        ("/conversations?id=", "no conversation&#39;s id"),
        (
            "/conversations/acme/%3Cscript%3E",
            "no conversation&#39;s id",
        ),
    ] {
        let (status, html) = html(&relay, path).await;
        assert_eq!(status, 404, "{path}");
        assert!(
            html.contains(part) || html.contains(&part.replace("&#39;", "'")),
            "{path}: {html}"
        );
        assert!(!html.contains("<script>"), "{path}");
    }
    for wrong in [
        "/turns?before=x",
        "/turns?since=x",
        "/report?since=x",
        "/report.csv?since=x",
    ] {
        assert_eq!(html(&relay, wrong).await.0, 400, "{wrong}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn the_report_tells_what_the_relay_did_and_a_spreadsheet_can_have_it() {
    let relay = with_a_story().await;
    let (status, page) = html(&relay, "/report?since=24h").await;
    assert_eq!(status, 200);
    for part in [
        "Containment",
        "too few to tell",
        "customer requested",
        "handed off",
        "Turns by hour",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let csv = send(client().get(url(&relay, "/report.csv?since=24h"))).await;
    assert!(
        csv.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/csv")
    );
    let csv = soon(csv.text()).await.unwrap();
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let line: Vec<&str> = lines.next().unwrap().split(',').collect();
    let cell = |name| line[head.iter().position(|found| *found == name).unwrap()];
    assert_eq!(
        [
            cell("replied"),
            cell("handed_off"),
            cell("skipped"),
            cell("dead")
        ],
        ["1", "2", "1", "2"]
    );
    relay.finish().await;
}
