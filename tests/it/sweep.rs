//! What no webhook brings is found all the same: the relay sweeps Gladly's events, and
//! switches on a webhook that Gladly switched off. Nobody hears twice.

use std::time::Duration;

use gladly_relay::clock::Clock;
use gladly_relay::id::AccountName;
use gladly_relay::outcome::HandoffReason::Deadline;
use gladly_relay::outcome::{Outcome, SkipReason};
use gladly_relay::sim::{Gladly, GladlyOptions, Message, Operation, WebhookSpec, What};
use gladly_relay::store::{Operations, Store};
use jiff::Timestamp;

use crate::support::{Door, IDENTIFIER, RelayProcess, Setup, TestRelay, let_pass, soon};

const MINUTE: Duration = Duration::from_mins(1);
/// An interval, with all of its jitter.
const INTERVAL: Duration = Duration::from_mins(6);

/// A relay behind a door, which sweeps every five minutes.
struct Swept {
    relay: TestRelay,
    door: Door,
    webhook: String,
}

impl Swept {
    /// Served once, so that it knows how far it has swept.
    async fn start(mut setup: Setup) -> Self {
        setup.gladly.delivery.retry_delays = vec![Duration::from_millis(1); 4];
        let mut relay = setup.start_without_relay().await;
        let door = Door::build().await;
        set(&mut relay, "sweep_interval = \"5m\"");
        relay.toml = format!("public_url = \"{}\"\n{}", door.url, relay.toml);
        let spec = WebhookSpec::relay(&door.url, IDENTIFIER);
        let webhook = relay.gladly.register_webhook(spec);
        let mut swept = Self {
            relay,
            door,
            webhook,
        };
        swept.boot().await;
        swept.sweeps(1).await;
        swept
    }

    async fn boot(&mut self) {
        self.relay.boot_without_webhook().await;
        self.door.lead_to(&self.relay.running().url);
    }

    async fn stop(&mut self) {
        self.door.shut();
        self.relay.stop().await;
    }

    /// Waits until so many spans were swept since the start.
    async fn sweeps(&self, count: usize) {
        soon(self.relay.running().store.swept_often(count)).await;
    }

    /// Everybody's clock goes on, and whatever waits for it wakes.
    async fn pass(&self, length: Duration) {
        age(&self.relay.gladly, length);
        self.relay.clock.advance(length);
        let_pass(length).await;
    }

    fn is_on(&self) -> bool {
        let webhook = self.relay.gladly.webhook(&self.webhook).unwrap();
        webhook["enabled"] == true
    }

    /// Waits until Gladly has switched the webhook off.
    async fn switched_off(&self) {
        let off = self.relay.gladly.wait_for(|world| {
            let webhook = world.webhook(&self.webhook).unwrap();
            webhook["enabled"] == false
        });
        soon(off).await;
    }

    async fn swept_until(&self) -> Timestamp {
        let store = &self.relay.running().store;
        let until = store.swept_until(&AccountName::new("acme")).await.unwrap();
        until.expect("it has swept")
    }

    /// Waits until the metrics hold this line.
    async fn shows(&self, line: &str) {
        soon(async {
            while !self.relay.metrics().await.contains(line) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// A customer writes, and no webhook tells of it.
    fn says_unheard(&self, text: &str) -> String {
        let conversation = self.relay.conversation();
        let gladly = &self.relay.gladly;
        gladly.customer_message_without_webhook(&conversation, &Message::chat(text));
        conversation
    }

    /// The conversation is with the humans, with one note that says why.
    fn assert_found_too_late(&self, conversation: &str) {
        let view = self.relay.view(conversation);
        let notes = view.notes();
        assert_eq!(notes.len(), 1, "{conversation}");
        let note = notes[0];
        assert!(note.contains("did not see it in time"), "{note}");
        assert!(self.relay.is_with_humans(conversation));
        assert_eq!(view.replies().len(), 0, "{conversation}");
    }

    async fn finish(self) {
        self.relay.finish().await;
    }
}

fn set(relay: &mut TestRelay, interval: &str) {
    relay.toml = relay.toml.replace("sweep_interval = \"0s\"", interval);
}

/// What has happened in Gladly grows older at once.
fn age(gladly: &Gladly, length: Duration) {
    gladly.configure(|options| options.clock_ahead += length);
}

fn calls(relay: &TestRelay) -> [usize; 2] {
    [Operation::ListWebhooks, Operation::ListEvents]
        .map(|operation| relay.gladly.requests_of(operation))
}

#[tokio::test]
async fn ten_customers_who_wrote_while_the_relay_was_down_have_one_outcome_each() {
    let mut swept = Swept::start(Setup::default()).await;
    let (served, outcome) = swept.relay.outcome_of("hello").await;
    assert_eq!(outcome, Outcome::Replied);
    swept.relay.all_told().await;
    swept.stop().await;
    let waiting: Vec<String> = (0..10).map(|_| swept.relay.conversation()).collect();
    for conversation in &waiting {
        swept.relay.says(conversation, "is anybody there?");
    }
    let answered = swept.relay.conversation();
    swept.relay.says(&answered, "and here?");
    let gladly = &swept.relay.gladly;
    gladly.agent_replies(&answered, "I am.");
    gladly.move_to(&answered, "ai-inbox", None);
    swept.switched_off().await;
    swept.pass(10 * MINUTE).await;
    swept.boot().await;
    swept.relay.outcomes(11).await;
    soon(swept.relay.running().store.idle()).await;
    // Another look, and what it tells is known by now.
    swept.pass(INTERVAL).await;
    swept.sweeps(2).await;
    let outcomes = swept.relay.outcomes(11).await;
    let count = |outcome: Outcome| outcomes.iter().filter(|other| **other == outcome).count();
    let late = count(Outcome::HandedOff(Deadline));
    let already = count(Outcome::Skipped(SkipReason::AlreadyAnswered));
    assert_eq!((late, already, outcomes.len()), (10, 1, 11), "{outcomes:?}");
    for conversation in &waiting {
        swept.assert_found_too_late(conversation);
    }
    for (conversation, replies) in [(&served, 1), (&answered, 0)] {
        assert_eq!(swept.relay.replies(conversation).len(), replies);
        assert_eq!(swept.relay.view(conversation).notes().len(), 0);
        assert_eq!(swept.relay.view(conversation).inbox_id, "ai-inbox");
    }
    assert!(swept.is_on());
    swept
        .shows("recovered_messages_total{account=\"acme\"} 11")
        .await;
    swept.shows("webhook_enabled{account=\"acme\"} 1").await;
    swept
        .shows("sweeps_total{account=\"acme\",result=\"ok\"} 2")
        .await;
    // And webhooks are delivered again.
    swept.relay.says(&served, "hello again");
    assert_eq!(swept.relay.outcomes(12).await[11], Outcome::Replied);
    swept.finish().await;
}

#[tokio::test]
async fn a_lost_message_is_answered_by_the_bot_while_there_is_time() {
    let swept = Swept::start(Setup::policy("answer_deadline = \"10m\"")).await;
    let conversation = swept.says_unheard("hello");
    swept.pass(INTERVAL).await;
    assert_eq!(swept.relay.next_outcome().await, Outcome::Replied);
    assert_eq!(swept.relay.replies(&conversation), ["You asked: hello"]);
    // The webhook comes all the same, and late.
    let view = swept.relay.view(&conversation);
    let payload = swept.relay.gladly.payload_for(&view.items[0].id);
    let told = swept.relay.post(payload.to_string()).await;
    assert!(told.text().await.unwrap().contains("duplicate"));
    swept.finish().await;
}

#[tokio::test]
async fn what_is_on_its_way_is_left_to_its_webhook() {
    let swept = Swept::start(Setup::default()).await;
    swept.pass(INTERVAL).await;
    swept.sweeps(2).await;
    swept.says_unheard("hello");
    // It is not ten seconds old when it is looked for.
    swept.pass(Duration::from_secs(3)).await;
    let_pass(INTERVAL).await;
    swept.sweeps(3).await;
    swept
        .shows("recovered_messages_total{account=\"acme\"} 0")
        .await;
    swept.pass(INTERVAL).await;
    assert_eq!(
        swept.relay.next_outcome().await,
        Outcome::HandedOff(Deadline)
    );
    swept.finish().await;
}

#[tokio::test]
async fn a_webhook_that_gladly_switched_off_is_switched_on_and_its_events_are_found() {
    let mut setup = Setup::default();
    setup.gladly.events_lag = Duration::from_secs(15);
    let swept = Swept::start(setup).await;
    swept.door.shut();
    let early = swept.relay.conversation();
    swept.relay.says(&early, "hello");
    swept.switched_off().await;
    swept.pass(Duration::from_secs(299)).await;
    let late = swept.relay.conversation();
    swept.relay.says(&late, "hello");
    swept.door.lead_to(&swept.relay.running().url);
    let_pass(MINUTE).await;
    assert_eq!(
        swept.relay.next_outcome().await,
        Outcome::HandedOff(Deadline)
    );
    swept.assert_found_too_late(&early);
    assert!(swept.is_on());
    assert_eq!(
        swept.relay.view(&late).items.len(),
        1,
        "Gladly does not tell of it yet"
    );
    swept.sweeps(2).await;
    // The next look comes soon, not an interval later.
    swept.pass(Duration::from_secs(25)).await;
    assert_eq!(swept.relay.outcomes(2).await[1], Outcome::Replied);
    swept.finish().await;
}

#[tokio::test]
async fn a_webhook_that_a_person_switched_off_is_left_alone() {
    let swept = Swept::start(Setup::default()).await;
    swept.relay.gladly.enable_webhook(&swept.webhook, false);
    swept.pass(INTERVAL).await;
    swept.shows("webhook_enabled{account=\"acme\"} 0").await;
    swept.sweeps(2).await;
    assert!(!swept.is_on());
    swept.relay.gladly.enable_webhook(&swept.webhook, true);
    swept.pass(INTERVAL).await;
    swept.shows("webhook_enabled{account=\"acme\"} 1").await;
    swept.finish().await;
}

#[tokio::test]
async fn when_all_is_well_there_are_two_calls_an_interval() {
    let swept = Swept::start(Setup::default()).await;
    assert_eq!(calls(&swept.relay), [1, 1]);
    for interval in 2..6 {
        swept.relay.outcome_of("hello").await;
        swept.relay.all_told().await;
        swept.pass(INTERVAL).await;
        swept.sweeps(interval).await;
        assert_eq!(calls(&swept.relay), [interval, interval]);
    }
    swept
        .shows("recovered_messages_total{account=\"acme\"} 0")
        .await;
    swept.finish().await;
}

#[tokio::test]
async fn what_could_not_be_stored_is_read_again() {
    let swept = Swept::start(Setup::default()).await;
    let until = swept.swept_until().await;
    let conversation = swept.says_unheard("hello");
    swept.relay.running().store.set_full(true);
    swept.pass(INTERVAL).await;
    swept
        .shows("sweeps_total{account=\"acme\",result=\"failed\"} 1")
        .await;
    assert_eq!(swept.swept_until().await, until);
    swept.relay.running().store.set_full(false);
    // Tried again soon.
    swept.pass(Duration::from_secs(30)).await;
    assert_eq!(
        swept.relay.next_outcome().await,
        Outcome::HandedOff(Deadline)
    );
    swept.assert_found_too_late(&conversation);
    assert!(swept.swept_until().await > until);
    swept.finish().await;
}

#[tokio::test]
async fn a_long_time_is_read_hour_by_hour_and_gone_on_with_where_it_failed() {
    let mut swept = Swept::start(Setup::default()).await;
    swept.stop().await;
    let mut conversations = Vec::new();
    for _ in 0..5 {
        conversations.push(swept.says_unheard("hello"));
        swept.pass(Duration::from_hours(1)).await;
    }
    let before = calls(&swept.relay);
    let (gate, hold) = gladly_relay::sim::Gate::new();
    swept.relay.gladly.fault(gladly_relay::sim::Fault {
        operation: Some(Operation::ListEvents),
        when: gladly_relay::sim::When::Nth(3),
        what: What::Hold(gate),
    });
    swept.boot().await;
    // It is killed in the middle: what it has read is in the journal.
    soon(hold.reached()).await;
    swept.relay.outcomes(2).await;
    swept.stop().await;
    hold.release();
    swept.boot().await;
    swept.relay.outcomes(3).await;
    soon(swept.relay.running().store.idle()).await;
    for conversation in &conversations {
        swept.assert_found_too_late(conversation);
    }
    let [_, events] = calls(&swept.relay);
    let read = events - before[1];
    assert!((6..=8).contains(&read), "{read}");
    swept.finish().await;
}

#[tokio::test]
async fn who_was_brought_to_the_bot_while_it_was_down_and_waits_goes_to_a_human() {
    let mut swept = Swept::start(Setup::default()).await;
    let [waits, answered] = ["one", "two"].map(|text| {
        let conversation = swept.relay.conversation();
        let gladly = &swept.relay.gladly;
        gladly.move_to(&conversation, "other-inbox", None);
        swept.relay.says(&conversation, text);
        conversation
    });
    let elsewhere = Outcome::Skipped(SkipReason::NotAiInbox);
    let outcomes = swept.relay.outcomes(2).await;
    assert_eq!(outcomes, [elsewhere.clone(), elsewhere]);
    swept.relay.all_told().await;
    swept.stop().await;
    swept.relay.gladly.agent_replies(&answered, "Done.");
    for conversation in [&waits, &answered] {
        swept.relay.gladly.move_to(conversation, "ai-inbox", None);
    }
    swept.switched_off().await;
    swept.pass(10 * MINUTE).await;
    swept.boot().await;
    assert_eq!(
        swept.relay.next_outcome().await,
        Outcome::HandedOff(Deadline)
    );
    swept.sweeps(1).await;
    soon(swept.relay.running().store.idle()).await;
    swept.assert_found_too_late(&waits);
    assert_eq!(swept.relay.view(&answered).inbox_id, "ai-inbox");
    swept.finish().await;
}

#[tokio::test]
async fn what_the_bot_answered_since_is_left_alone() {
    let swept = Swept::start(Setup::default()).await;
    let conversation = swept.says_unheard("hello?");
    swept.relay.says(&conversation, "anybody?");
    assert_eq!(swept.relay.next_outcome().await, Outcome::Replied);
    swept.relay.all_told().await;
    swept.pass(INTERVAL).await;
    let already = Outcome::Skipped(SkipReason::AlreadyAnswered);
    assert_eq!(swept.relay.outcomes(2).await[1], already);
    let view = swept.relay.view(&conversation);
    assert_eq!((view.replies().len(), view.notes().len()), (1, 0));
    swept.finish().await;
}

#[tokio::test]
async fn what_a_human_holds_or_closed_since_is_left_alone() {
    let swept = Swept::start(Setup::default()).await;
    let [held, closed] = ["one", "two"].map(|text| swept.says_unheard(text));
    swept.relay.lose_webhook(&swept.webhook);
    swept.relay.gladly.take_over(&held);
    swept.relay.gladly.close(&closed);
    swept.pass(INTERVAL).await;
    let mut outcomes = swept.relay.outcomes(2).await;
    outcomes.sort_by_key(|outcome| outcome.reason().map(str::to_owned));
    let skipped = [SkipReason::Closed, SkipReason::HumanAssigned].map(Outcome::Skipped);
    assert_eq!(outcomes, skipped);
    assert_eq!(swept.relay.gleen.requests().len(), 0);
    swept.finish().await;
}

#[tokio::test]
async fn what_was_lost_before_the_last_24_hours_is_told_of() {
    let mut relay = Setup::default().start_without_relay().await;
    set(&mut relay, "sweep_interval = \"1h\"");
    let url = "http://127.0.0.1:1/webhooks/gladly";
    relay.toml = format!("public_url = \"{url}\"\n{}", relay.toml);
    let process = RelayProcess::start(&relay.config_file()).await;
    let is_read = |count| {
        relay.gladly.wait_for(move |world| {
            let answered = world.requests().iter().filter(|request| {
                request.operation == Operation::ListEvents && request.status == Some(200)
            });
            answered.count() >= count
        })
    };
    soon(is_read(1)).await;
    let (_, log) = process.terminate_and_read().await;
    let missing = log.matches("none leads to http://127.0.0.1:1/webhooks/gladly");
    assert_eq!(missing.count(), 1, "{log}");
    let forgotten = relay.conversation();
    let message = Message::chat("hello");
    relay
        .gladly
        .customer_message_without_webhook(&forgotten, &message);
    age(&relay.gladly, Duration::from_hours(2));
    let found = relay.conversation();
    relay
        .gladly
        .customer_message_without_webhook(&found, &message);
    age(&relay.gladly, Duration::from_mins(23 * 60 + 30));
    let process = RelayProcess::start(&relay.config_file()).await;
    soon(relay.gladly.wait_for(|world| {
        let view = world.conversation(&found).unwrap();
        view.inbox_id == "human-inbox"
    }))
    .await;
    let (_, log) = process.terminate_and_read().await;
    let line = log
        .lines()
        .find(|line| line.contains("Gladly tells of the last 24 hours alone"));
    let line: serde_json::Value = serde_json::from_str(line.expect("it is told")).unwrap();
    let minutes = line["minutes"].as_u64().unwrap();
    assert!((90..100).contains(&minutes), "{line}");
    let recovered = log
        .lines()
        .find(|line| line.contains("no webhook had brought"));
    assert!(
        recovered.is_some_and(|line| line.contains("\"messages\":1")),
        "{log}"
    );
    assert!(!log.contains("hello"), "no words");
    assert_eq!(relay.view(&forgotten).items.len(), 1);
}

#[tokio::test]
async fn a_gladly_that_refuses_its_events_is_asked_once_an_interval_and_told_of_once() {
    for status in [401, 403, 404] {
        let mut relay = Setup::default().start_without_relay().await;
        set(&mut relay, "sweep_interval = \"50ms\"");
        relay.always(Operation::ListEvents, What::status(status));
        let process = RelayProcess::start(&relay.config_file()).await;
        relay.point_webhook_to(&process.url);
        let answered = relay.gladly.wait_for(|world| {
            // While the user is refused, no call is made but one a minute.
            let enough = if status == 401 { 1 } else { 4 };
            world.requests_of(Operation::ListEvents) >= enough
        });
        soon(answered).await;
        if status != 401 {
            let conversation = relay.conversation();
            relay.says(&conversation, "hello");
            soon(relay.gladly.wait_for(|world| {
                !world
                    .conversation(&conversation)
                    .unwrap()
                    .replies()
                    .is_empty()
            }))
            .await;
        }
        let (code, log) = process.terminate_and_read().await;
        assert_eq!(code, Some(0));
        let warned = log.matches("missed events can't be looked for").count();
        assert_eq!(warned, 1, "{status}: {log}");
        let warned = log.matches("RELAY_PUBLIC_URL is not set: missed").count();
        assert_eq!(warned, 1, "{status}: {log}");
    }
}

#[tokio::test]
async fn an_account_whose_gladly_fails_keeps_no_other_from_its_events() {
    let mut relay = Setup::default().start_without_relay().await;
    let other = Gladly::start(GladlyOptions {
        requests_per_second: None,
        seed: 2,
        ..GladlyOptions::default()
    })
    .await
    .unwrap();
    set(&mut relay, "sweep_interval = \"5m\"");
    let start = relay.toml.find("[[account]]").unwrap();
    let account = relay.toml[start..].to_owned();
    let second = account
        .replace("\"acme\"", "\"other\"")
        .replace(&relay.gladly.url(), &other.url())
        .replace(IDENTIFIER, "identifier-of-other")
        .replace("the-next-identifier", "the-next-of-other");
    relay.toml.push_str(&second);
    relay.always(Operation::ListEvents, What::CutBefore);
    relay.boot_without_webhook().await;
    soon(relay.running().store.swept_often(1)).await;
    let conversation = other.add_conversation("Mia");
    other.customer_message_without_webhook(&conversation, &Message::chat("hello"));
    age(&other, INTERVAL);
    relay.clock.advance(INTERVAL);
    let_pass(INTERVAL).await;
    assert_eq!(relay.next_outcome().await, Outcome::HandedOff(Deadline));
    let metrics = relay.metrics().await;
    assert!(
        metrics.contains("sweeps_total{account=\"other\",result=\"ok\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("sweeps_total{account=\"acme\",result=\"failed\"}"));
    assert!(!metrics.contains("sweeps_total{account=\"acme\",result=\"ok\"}"));
    relay.finish().await;
}

#[tokio::test]
async fn an_interval_of_nothing_is_off() {
    let relay = TestRelay::start().await;
    relay.outcome_of("hello").await;
    relay.pass(INTERVAL).await;
    relay.says(&relay.conversation(), "hello");
    relay.outcomes(2).await;
    assert_eq!(calls(&relay), [0, 0]);
    relay.finish().await;
}

#[tokio::test]
async fn what_is_late_already_keeps_nobody_waiting_who_is_not() {
    let mut setup = Setup {
        account_gladly: "requests_per_second = 10".to_owned(),
        ..Setup::default()
    };
    setup.gladly.requests_per_second = Some(10);
    let mut swept = Swept::start(setup).await;
    swept.stop().await;
    for _ in 0..300 {
        swept.says_unheard("is anybody there?");
    }
    swept.pass(10 * MINUTE).await;
    swept.boot().await;
    swept.sweeps(1).await;
    let conversation = swept.relay.conversation();
    swept.relay.says(&conversation, "hello");
    let served = swept.relay.gladly.wait_until(|world| {
        let view = world.conversation(&conversation)?;
        let answered = !view.replies().is_empty();
        (answered || view.inbox_id == "human-inbox").then_some(answered)
    });
    assert!(soon(served).await, "the bot has the time to answer");
    let now = swept.relay.clock.now().at;
    let store = &swept.relay.running().store;
    let left = store.backlog(now).await.unwrap()[0].turns;
    assert!(left > 200, "{left} wait");
}
