//! How the pages look to whoever uses them: narrow, by keyboard, by a screen reader, and
//! with names that are meant to do harm.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{TOKEN, json_of, url, with_a_password, with_a_story};
use crate::support::{Browser, Page, TestRelay, program};

const PAGES: [&str; 9] = [
    "/",
    "/turns",
    "/turns?outcome=handed_off",
    "/conversations?id=unknown",
    "/report",
    "/report?since=24h&account=acme",
    "/dead-letters",
    "/dead-letters/confirm?action=retry&id=1&id=2&id=3",
    "/dead-letters/confirm?action=drop&id=1",
];

const HOSTILE: &str = "<script>window.mark=1</script><img src=x onerror=window.mark=1>";

/// The pages, and those of the conversations of a story: one that the bot answered, that
/// was handed over and then left alone, and others that went to humans or are dead.
async fn pages(relay: &TestRelay) -> Vec<String> {
    let turns = json_of(relay, "/api/turns").await;
    let turns = turns["turns"].as_array().unwrap();
    let outcomes: BTreeSet<_> = turns.iter().map(|turn| turn["outcome"].as_str()).collect();
    let all = ["dead", "handed_off", "replied", "skipped"].map(Some);
    assert_eq!(outcomes, BTreeSet::from(all));
    let conversations: BTreeSet<_> = turns
        .iter()
        .map(|turn| turn["conversation_id"].as_str().unwrap())
        .collect();
    let path = |id: &str| format!("/conversations/acme/{id}");
    let conversations = conversations.into_iter().map(path);
    PAGES
        .map(str::to_owned)
        .into_iter()
        .chain(conversations)
        .collect()
}

/// A relay with a story, and with what somebody wrote who means harm.
async fn with_hostile_names() -> TestRelay {
    let mut relay = with_a_story().await;
    relay.stop().await;
    let database = rusqlite::Connection::open(relay.database()).unwrap();
    for id in [
        "\"><script>window.mark=1</script>",
        "' onmouseover='window.mark=1",
    ] {
        let sql = "INSERT INTO dead_letters (account, conversation_id, error, may_have_answered, created_at) VALUES (?, ?, ?, 0, 0)";
        database.execute(sql, [HOSTILE, id, HOSTILE]).unwrap();
    }
    drop(database);
    relay.boot().await;
    relay
}

/// A picture of each page, for people to look at, where `RELAY_TEST_PICTURES` says.
async fn picture(page: &Page, name: &str) {
    if let Some(folder) = std::env::var_os("RELAY_TEST_PICTURES") {
        page.picture(&PathBuf::from(folder).join(format!("{name}.png")))
            .await;
    }
}

fn name_of(path: &str) -> String {
    let name = path
        .split('?')
        .next()
        .unwrap()
        .trim_matches('/')
        .replace('/', "-");
    let action = path.split("action=").nth(1).unwrap_or_default();
    let action = action.split('&').next().unwrap();
    format!("page-{name}{action}")
}

#[tokio::test]
async fn pages_fit_a_narrow_screen_and_ask_nobody_else() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_a_story().await;
    let page = browser.page().await;
    for path in pages(&relay).await {
        for (width, colours) in [(360, "light"), (1280, "light"), (1280, "dark")] {
            page.colours(colours).await;
            page.size(width, 800).await;
            page.open(&url(&relay, &path)).await;
            let wide = page.eval("document.documentElement.scrollWidth").await;
            assert!(
                wide.as_u64().unwrap() <= u64::from(width),
                "{path} at {width}: {wide}"
            );
            picture(&page, &format!("{}-{width}-{colours}", name_of(&path))).await;
        }
        assert_eq!(page.eval("window.violations.length").await, 0, "{path}");
    }
    let own = &relay.running().admin_url;
    for asked in page.asked() {
        assert!(asked.starts_with(own.as_str()), "{asked}");
    }
    // That nothing is remembered of a conversation is answered so.
    let mut complaints = page.complaints();
    complaints.retain(|complaint| !complaint.contains("id=unknown"));
    assert_eq!(complaints, Vec::<String>::new());
    relay.finish().await;
}

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_hostile_names().await;
    let page = browser.page().await;
    let filtered = format!("/dead-letters?account={}", HOSTILE.replace('<', "%3C"));
    let all = "/dead-letters/confirm?action=drop&id=4&id=5";
    let paths = pages(&relay).await.into_iter();
    for path in paths.chain([filtered, all.to_owned()]) {
        page.open(&url(&relay, &path)).await;
        let harmed = page.eval("window.mark ?? window.violations.length").await;
        assert_eq!(harmed, 0, "{path}");
        if path == "/" || (path.starts_with("/dead-letters") && !path.contains("id=1")) {
            assert!(page.text().await.contains(HOSTILE), "{path}");
        }
    }
    relay.finish().await;
}

/// Axe, of Deque Systems, in a page: what it finds that is serious or worse.
async fn serious(page: &Page, axe: &str) -> String {
    page.eval(axe).await;
    let found = page
        .eval(
            "axe.run(document).then((r) => r.violations
                .filter((v) => ['serious', 'critical'].includes(v.impact))
                .map((v) => v.id + ': ' + v.nodes.map((n) => n.html + ' ' + n.failureSummary).join(' | '))
                .join('\\n'))",
        )
        .await;
    found.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_page_keeps_anybody_out_by_how_it_is_made() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let Some(axe) = program("axe.min.js") else {
        return;
    };
    // What it answers is itself, which can't be told over the pipe.
    let axe = std::fs::read_to_string(axe).unwrap() + "; 0";
    let relay = with_a_story().await;
    let pages = pages(&relay).await;
    let page = browser.page().await;
    for colours in ["light", "dark"] {
        page.colours(colours).await;
        for path in &pages {
            page.open(&url(&relay, path)).await;
            assert_eq!(serious(&page, &axe).await, "", "{path} {colours}");
        }
    }
    relay.finish().await;
    let relay = with_a_password().await;
    page.open(&url(&relay, "/")).await;
    assert_eq!(serious(&page, &axe).await, "", "the door");
    page.fill("#token", "wrong").await;
    page.follow("button").await;
    assert_eq!(
        serious(&page, &axe).await,
        "",
        "the door, after a wrong token"
    );
    picture(&page, "page-sign-in").await;
    page.fill("#token", TOKEN).await;
    page.follow("button").await;
    assert_eq!(serious(&page, &axe).await, "", "signed in");
    relay.finish().await;
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let relay = with_a_story().await;
    let page = browser.page().await;
    page.open(&url(&relay, "/dead-letters")).await;
    page.press("Tab").await;
    assert_eq!(page.eval("document.activeElement.className").await, "skip");
    let focused = "document.activeElement.getAttribute('aria-label')";
    let is_seen = "getComputedStyle(document.activeElement).outlineStyle";
    while page.eval(focused).await != "Drop dead letter 2" {
        page.press("Tab").await;
        assert_ne!(
            page.eval(is_seen).await,
            "none",
            "what has the focus shows it"
        );
    }
    page.leaves(page.press("Enter")).await;
    assert!(page.text().await.contains("Drop 1 dead letter?"));
    relay.finish().await;
}
