//! The real relay on port 0, with its own database file, between a simulated
//! Gladly that sends it webhooks and a simulated Gleen.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gladly_relay::app::{self, Listeners};
use gladly_relay::clock::{Clock, Moment, later};
use gladly_relay::config::{Config, Environment};
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{
    Answer, ConversationView, Fault, Gladly, GladlyOptions, Gleen, GleenOptions, Message,
    Operation, Responder, WebhookSpec, What, When,
};
use gladly_relay::store::{Operations, Sqlite};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Observed, let_pass, soon};

pub(crate) const IDENTIFIER: &str = "identifier-of-acme";

/// A machine whose time passes as the test likes: all of it may pass faster,
/// and what the machine's clock shows may jump.
pub(crate) struct TestClock {
    began: Instant,
    /// How much has passed that nobody waited for, in milliseconds.
    skipped_ms: AtomicI64,
    /// How far off the machine's clock is, in milliseconds.
    off_ms: AtomicI64,
    /// The relay's steady clock: its name, and the time from which it counts.
    steady: Mutex<(u32, Timestamp)>,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            skipped_ms: AtomicI64::new(0),
            off_ms: AtomicI64::new(0),
            steady: Mutex::new((1, Timestamp::now())),
        }
    }
}

impl TestClock {
    /// Lets time pass at once.
    pub(crate) fn advance(&self, length: Duration) {
        self.skipped_ms
            .fetch_add(i64::try_from(length.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Sets the machine's clock so far from the true time.
    pub(crate) fn set_off(&self, off: SignedDuration) {
        self.off_ms
            .store(i64::try_from(off.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// What a process does at its start: it reads the machine's clock once.
    fn start_process(&self) {
        let begun_at = self.wall() - SignedDuration::try_from(self.passed()).unwrap();
        let mut steady = self.steady.lock().unwrap();
        *steady = (steady.0 + 1, begun_at);
    }

    fn passed(&self) -> Duration {
        let skipped = u64::try_from(self.skipped_ms.load(Ordering::SeqCst)).unwrap();
        self.began.elapsed() + Duration::from_millis(skipped)
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let (clock, begun_at) = *self.steady.lock().unwrap();
        let at = later(begun_at, self.passed());
        Moment { clock, at }
    }

    fn wall(&self) -> Timestamp {
        let skipped = u64::try_from(self.skipped_ms.load(Ordering::SeqCst)).unwrap();
        let true_time = later(Timestamp::now(), Duration::from_millis(skipped));
        true_time + SignedDuration::from_millis(self.off_ms.load(Ordering::SeqCst))
    }
}

/// What differs from the usual relay.
pub(crate) struct Setup {
    pub(crate) gladly: GladlyOptions,
    pub(crate) gleen: GleenOptions,
    /// Lines of `[policy]`.
    pub(crate) policy: String,
    /// Lines of `[[account]]`, before its tables.
    pub(crate) account: String,
    /// Lines of `[account.gladly]` and `[account.gleen]`.
    pub(crate) account_gladly: String,
    pub(crate) account_gleen: String,
}

impl Default for Setup {
    /// Without Gladly's rate limit: tests of the pace set one. Gleen answers
    /// everything.
    fn default() -> Self {
        let gladly = GladlyOptions {
            requests_per_second: None,
            ..GladlyOptions::default()
        };
        let responder =
            Responder::new(|question| Answer::Text(format!("You asked: {}", question.text)));
        Self {
            gladly,
            gleen: GleenOptions {
                responder: Some(responder),
                ..GleenOptions::default()
            },
            policy: String::new(),
            account: String::new(),
            account_gladly: "requests_per_second = 100000".to_owned(),
            account_gleen: String::new(),
        }
    }
}

impl Setup {
    /// With these lines in `[policy]`.
    pub(crate) fn policy(lines: &str) -> Self {
        Self {
            policy: lines.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) async fn start(self) -> TestRelay {
        let mut relay = self.start_without_relay().await;
        relay.boot().await;
        relay
    }

    /// With a relay that a stop cuts short wherever it is: what it has stored by
    /// then is all that the next start has.
    pub(crate) async fn start_to_be_cut_short(self) -> TestRelay {
        let mut relay = self.start_without_relay().await;
        relay.cut_short();
        relay.boot().await;
        relay
    }

    /// Only the simulators, for tests that start the relay in their own way.
    pub(crate) async fn start_without_relay(self) -> TestRelay {
        let gladly = Gladly::start(self.gladly.clone()).await.unwrap();
        let gleen = Gleen::start(self.gleen.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let toml = self.toml(&gladly, &gleen, &folder);
        let (running, webhook) = (None, None);
        TestRelay {
            gladly,
            gleen,
            clock: Arc::default(),
            toml,
            running,
            webhook,
            folder,
        }
    }

    /// No question may take longer than the answer.
    fn gleen_timeout(&self) -> String {
        let deadline = self
            .policy
            .split_once("answer_deadline = ")
            .map(|(_, rest)| rest.lines().next().unwrap_or_default());
        match deadline {
            Some(deadline @ ("\"1s\"" | "\"20s\"")) => format!("timeout = {deadline}"),
            _ => String::new(),
        }
    }

    fn toml(&self, gladly: &Gladly, gleen: &Gleen, folder: &TempDir) -> String {
        let options = gladly.options();
        format!(
            r#"
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
store = "sqlite://{store}"
shutdown_grace = "10s"
sweep_interval = "0s"
[policy]
first_retry_wait = "20ms"
{settle_time}
{policy}
[[account]]
name = "acme"
identifier = ["{IDENTIFIER}", "the-next-identifier"]
{account}
[account.gladly]
url = "{gladly_url}"
username = "{username}"
api_token = "{api_token}"
ai_inbox_id = "{ai_inbox_id}"
handoff_inbox_id = "{handoff_inbox_id}"
agent_id = "{bot_agent_id}"
{account_gladly}
[account.gleen]
url = "{gleen_url}"
api_key = "{api_key}"
handoff_pointer = "/handoff"
{gleen_timeout}
{account_gleen}
"#,
            store = folder.path().join("relay.db").display(),
            settle_time = if self.policy.contains("settle_time") {
                ""
            } else {
                "settle_time = \"20ms\""
            },
            policy = self.policy,
            account = self.account,
            account_gladly = self.account_gladly,
            gleen_timeout = self.gleen_timeout(),
            account_gleen = self.account_gleen,
            gladly_url = gladly.url(),
            username = options.username,
            api_token = options.api_token,
            ai_inbox_id = options.ai_inbox_id,
            handoff_inbox_id = options.handoff_inbox_id,
            bot_agent_id = options.bot_agent_id,
            gleen_url = gleen.url(),
            api_key = gleen.options().api_key,
        )
    }
}

fn for_ever(operation: Operation, what: What) -> Fault {
    Fault {
        operation: Some(operation),
        when: When::Always,
        what,
    }
}

/// One relay that serves.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) admin_url: String,
    pub(crate) store: Arc<Observed>,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

/// The relay between its simulators.
pub(crate) struct TestRelay {
    pub(crate) gladly: Gladly,
    pub(crate) gleen: Gleen,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) toml: String,
    running: Option<Running>,
    webhook: Option<String>,
    folder: TempDir,
}

impl TestRelay {
    /// The usual relay.
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("relay.db")
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("the relay runs")
    }

    /// Starts the relay on the database as it is, and lets Gladly know where.
    pub(crate) async fn boot(&mut self) {
        self.boot_without_webhook().await;
        let url = self.running().url.clone();
        self.point_webhook_to(&url);
    }

    /// Starts the relay on the database as it is.
    pub(crate) async fn boot_without_webhook(&mut self) {
        self.clock.start_process();
        let file = self.config_file();
        let config = Config::load(Some(&file), &Environment::default()).unwrap();
        let store = Arc::new(Observed::new(
            Sqlite::open(config.store.path().unwrap()).await.unwrap(),
        ));
        self.make_due();
        let listeners = Listeners {
            public: TcpListener::bind(config.listen).await.unwrap(),
            admin: TcpListener::bind(config.admin_listen).await.unwrap(),
            kept: false,
        };
        let url = format!("http://{}", listeners.public.local_addr().unwrap());
        let admin_url = format!("http://{}", listeners.admin.local_addr().unwrap());
        let stop = CancellationToken::new();
        let (serving_store, clock, stopped) = (store.clone(), self.clock.clone(), stop.clone());
        let served = tokio::spawn(async move {
            app::serve(&config, listeners, serving_store, clock, stopped).await
        });
        self.running = Some(Running {
            url,
            admin_url,
            store,
            stop,
            served,
        });
    }

    /// From the next start on, a stop cuts turns short.
    pub(crate) fn cut_short(&mut self) {
        let grace = |length: &str| format!("shutdown_grace = \"{length}\"");
        self.toml = self.toml.replace(&grace("10s"), &grace("1ms"));
    }

    /// What the store does when it is opened, but by the machine's own clock.
    fn make_due(&self) {
        let database = rusqlite::Connection::open(self.database()).unwrap();
        let sql = "UPDATE conversations SET due_at = min(due_at, ?)";
        let now = self.clock.now().at.as_millisecond();
        database.execute(sql, [now]).unwrap();
    }

    /// Writes the relay's configuration.
    pub(crate) fn config_file(&self) -> PathBuf {
        let file = self.folder.path().join("relay.toml");
        std::fs::write(&file, &self.toml).unwrap();
        file
    }

    /// Lets Gladly know where the relay is.
    pub(crate) fn point_webhook_to(&mut self, url: &str) {
        if let Some(webhook) = self.webhook.take() {
            self.gladly.enable_webhook(&webhook, false);
        }
        let spec = WebhookSpec::relay(format!("{url}/webhooks/gladly"), IDENTIFIER);
        self.webhook = Some(self.gladly.register_webhook(spec));
    }

    /// From now on no webhook reaches the relay but those posted by hand.
    pub(crate) fn lose_webhooks(&self) {
        let webhook = self.webhook.as_ref().expect("the relay was started");
        self.lose_webhook(webhook);
    }

    /// As [`TestRelay::lose_webhooks`], of one that the test registered itself.
    pub(crate) fn lose_webhook(&self, webhook: &str) {
        self.gladly.enable_webhook(webhook, false);
    }

    /// Waits until the relay has been told all that has happened.
    pub(crate) async fn all_told(&self) {
        soon(self.gladly.wait_for(|world| world.undelivered() == 0)).await;
    }

    /// Spoils every call of an operation from now on.
    pub(crate) fn always(&self, operation: Operation, what: What) {
        self.gladly.fault(for_ever(operation, what));
    }

    /// As [`TestRelay::always`], for one conversation or item alone.
    pub(crate) fn always_about(&self, id: &str, operation: Operation, what: What) {
        self.gladly.fault_about(id, for_ever(operation, what));
    }

    /// The calls of these operations so far, in order.
    pub(crate) fn calls_of(&self, operations: &[Operation]) -> Vec<Operation> {
        let requests = self.gladly.requests();
        let operations = requests
            .iter()
            .map(|request| request.operation)
            .filter(|operation| operations.contains(operation));
        operations.collect()
    }

    /// Lets so much of the relay's time pass at once, and its driver see it.
    pub(crate) async fn pass(&self, length: Duration) {
        self.clock.advance(length);
        // How often it looks for what nobody woke it for.
        let_pass(Duration::from_secs(2)).await;
    }

    /// Stops the relay as SIGTERM would.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            soon(running.served).await.unwrap().unwrap();
        }
    }

    /// Stops it and starts it again on the same database.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.boot().await;
    }

    /// A conversation in the AI inbox.
    pub(crate) fn conversation(&self) -> String {
        self.gladly.add_conversation("Mia")
    }

    /// The customer writes in a chat.
    pub(crate) fn says(&self, conversation: &str, text: &str) -> String {
        self.gladly
            .customer_says(conversation, &Message::chat(text))
    }

    /// A new conversation, one chat message, and how its turn ended.
    pub(crate) async fn outcome_of(&self, text: &str) -> (String, Outcome) {
        let conversation = self.conversation();
        self.says(&conversation, text);
        let outcome = self.next_outcome().await;
        (conversation, outcome)
    }

    /// How the first turn that ends from the start ended.
    pub(crate) async fn next_outcome(&self) -> Outcome {
        self.outcomes(1).await.remove(0)
    }

    /// How turns ended since the relay was started, once so many have.
    pub(crate) async fn outcomes(&self, count: usize) -> Vec<Outcome> {
        soon(self.running().store.outcomes(count)).await
    }

    pub(crate) fn view(&self, conversation: &str) -> ConversationView {
        self.gladly
            .conversation(conversation)
            .expect("the conversation exists")
    }

    /// Whether the conversation is where humans take over, assigned to nobody yet.
    pub(crate) fn is_with_humans(&self, conversation: &str) -> bool {
        let view = self.view(conversation);
        view.inbox_id == self.gladly.options().handoff_inbox_id && view.agent_id.is_none()
    }

    /// The texts of the bot's replies in a conversation.
    pub(crate) fn replies(&self, conversation: &str) -> Vec<String> {
        let view = self.view(conversation);
        view.replies()
            .iter()
            .map(|item| item.text().unwrap_or_default().to_owned())
            .collect()
    }

    /// Posts a webhook by hand.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let request = reqwest::Client::new()
            .post(format!("{}/webhooks/gladly", self.running().url))
            .header("X-Account-Identifier", IDENTIFIER)
            .body(body);
        soon(request.send()).await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.running().admin_url);
        soon(reqwest::get(url)).await.unwrap().text().await.unwrap()
    }

    /// Ends the test: no work is left, nobody was called too often.
    pub(crate) async fn finish(mut self) {
        soon(self.running().store.idle()).await;
        let backlog = self
            .running()
            .store
            .backlog(self.clock.now().at)
            .await
            .unwrap();
        let unfinished: u64 = backlog.iter().map(|backlog| backlog.turns).sum();
        assert_eq!(unfinished, 0, "turns are left unfinished");
        // On a machine that is busy with other tests, calls bunch up on their way: that
        // under one in a hundred is refused is for the model of the pace and the bench.
        let (refused, calls) = (self.gladly.rate_limited(), self.gladly.requests().len());
        let hardly = refused * 4 <= calls;
        assert!(hardly, "{refused} of {calls} calls were one too many");
        self.stop().await;
        self.gladly.shutdown().await;
        self.gleen.shutdown().await;
    }
}
