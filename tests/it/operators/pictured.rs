//! The pictures of the README, made of what the pages show: `RELAY_TEST_WRITE_IMAGES=1`
//! writes them anew. Without it the pages must still show what they claim.

use std::path::PathBuf;
use std::time::Duration;

use gladly_relay::sim::{Operation, Outage, WebhookSpec};

use super::url;
use crate::support::{Browser, Door, IDENTIFIER, Page, Setup, TestRelay, soon};

/// How many customers write in each of some hours: one day of a shop.
const A_DAY: [usize; 14] = [5, 6, 9, 14, 22, 27, 21, 24, 31, 26, 19, 12, 9, 6];

/// The demo's story, over a day: questions, wishes for a human, a bot that is down, a human
/// who takes over. The last conversation in which the bot's answer was dropped.
async fn day(relay: &TestRelay) -> String {
    let mut ended = 0;
    for (hour, customers) in A_DAY.into_iter().enumerate() {
        // The bot thinks longer when more ask it.
        let thinks = Duration::from_millis(u64::try_from(customers).unwrap() * 6);
        relay.gleen.configure(|options| options.think_time = thinks);
        for customer in 0..customers {
            let text = match (hour + customer) % 5 {
                3 if customer % 2 == 0 => "Can I talk to a human, please?",
                _ => "Where is my order?",
            };
            relay.says(&relay.conversation(), text);
        }
        ended += customers;
        relay.outcomes(ended).await;
        if hour == 6 {
            relay.gleen.down(Outage::Status(503));
            for _ in 0..2 {
                relay.says(&relay.conversation(), "Do you sell gift cards?");
            }
            ended += 2;
            relay.outcomes(ended).await;
            relay.gleen.up();
        }
        relay.clock.advance(Duration::from_hours(1));
    }
    taken_over(relay, ended).await
}

/// A relay that knows its webhook, as one in earnest does.
async fn behind_a_door() -> (TestRelay, Door) {
    let mut relay = Setup::default().start_without_relay().await;
    let door = Door::build().await;
    let toml = relay
        .toml
        .replace("sweep_interval = \"0s\"", "sweep_interval = \"5m\"");
    relay.toml = format!("public_url = \"{}\"\n{toml}", door.url);
    let spec = WebhookSpec::relay(&door.url, IDENTIFIER);
    relay.gladly.register_webhook(spec);
    relay.boot_without_webhook().await;
    door.lead_to(&relay.running().url);
    (relay, door)
}

async fn taken_over(relay: &TestRelay, ended: usize) -> String {
    let chat = relay.conversation();
    relay.says(&chat, "Where is my parcel?");
    relay.outcomes(ended + 1).await;
    let slow = relay.gleen.hold_next_answer(Operation::SendMessage);
    relay.says(&chat, "When are you open?");
    soon(slow.reached()).await;
    relay.gladly.take_over(&chat);
    relay.gladly.agent_replies(&chat, "Until six today!");
    relay.all_told().await;
    slow.release();
    relay.outcomes(ended + 2).await;
    chat
}

/// Writes the picture if somebody asks for it.
async fn picture(page: &Page, name: &str) {
    if std::env::var_os("RELAY_TEST_WRITE_IMAGES").is_some() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/images");
        std::fs::create_dir_all(&folder).unwrap();
        page.picture(&folder.join(format!("{name}.png"))).await;
    }
}

#[tokio::test]
async fn the_pictures_of_the_readme_are_true() {
    let Some(browser) = Browser::start("nothing").await else {
        return;
    };
    let (relay, _door) = behind_a_door().await;
    let chat = day(&relay).await;
    let page = browser.page().await;
    page.size(1180, 900).await;
    page.open(&url(&relay, "/")).await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    page.until("/Webhook\\s+on/.test(document.querySelector('.card').innerText)")
        .await;
    let text = page.text().await;
    for part in [
        "Nothing needs a person.",
        "Turns by hour",
        "Turns by day",
        "acme",
        "to humans",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let bars = page
        .eval("document.querySelectorAll('#hours-outcomes .s1').length")
        .await;
    assert!(bars.as_u64().unwrap() >= 10, "a day of them");
    picture(&page, "overview").await;

    page.open(&url(&relay, &format!("/conversations/acme/{chat}")))
        .await;
    page.until("document.getElementById('live').innerText === 'Live'")
        .await;
    let text = page.text().await;
    for part in ["Left alone", "Answered", "human assigned", "What happened"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    picture(&page, "conversation").await;
    relay.finish().await;
}
