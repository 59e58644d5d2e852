//! The stage with someone watching: acts, shows what comes of it, waits for it.

use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::outcomes::{Counts, Ending, Outcomes};
use super::screen::Screen;
use super::stage::Stage;
use super::trace::Trace;
use crate::sim::{Channel, ConversationView, Message};

/// How long an effect may take until the story ends with an error.
const PATIENCE: Duration = Duration::from_secs(15);

/// The three and their watcher.
pub(super) struct Session {
    /// The three.
    pub(super) stage: Stage,
    /// Where all is shown.
    pub(super) screen: Screen,
    trace: Trace,
    outcomes: Outcomes,
    gladly_changes: Receiver<u64>,
    gleen_changes: Receiver<u64>,
    /// The endings that were shown.
    shown: Counts,
    /// The endings that the story has waited for.
    awaited: Counts,
}

impl Session {
    /// Watches a stage.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub(super) fn new(stage: Stage) -> anyhow::Result<Self> {
        Ok(Self {
            screen: Screen::new(),
            trace: Trace::new(),
            outcomes: Outcomes::new(stage.admin_address)?,
            gladly_changes: stage.gladly.changes(),
            gleen_changes: stage.gleen.changes(),
            shown: Counts::default(),
            awaited: Counts::default(),
            stage,
        })
    }

    /// Stops the three.
    ///
    /// # Errors
    /// If the relay ended otherwise than by being told.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stage.stop().await
    }

    /// Says where everything is.
    pub(super) fn introduce(&mut self) {
        let stage = &self.stage;
        self.screen.heading("gladly-relay demo");
        let relay = format!("http://{}, the real one", stage.relay_address);
        self.screen.fact("relay", &relay);
        let pages = format!("http://{}/ shows what it does", stage.admin_address);
        self.screen.fact("pages", &pages);
        let gladly = format!("{}, simulated", stage.gladly.url());
        self.screen.fact("Gladly", &gladly);
        let gleen = format!("{}, simulated", stage.gleen.url());
        self.screen.fact("Gleen", &gleen);
    }

    /// The customer writes.
    pub(super) fn write(&mut self, conversation: &str, message: &Message) {
        self.screen.start_clock();
        let item_id = self.stage.gladly.customer_says(conversation, message);
        let view = self.stage.gladly.conversation(conversation);
        let items = view.map(|view| view.items).unwrap_or_default();
        let item = items.iter().find(|item| item.id == item_id);
        self.trace
            .customer_wrote(item.map_or(0, |item| item.sequence));
    }

    /// Whether the relay has taken the webhooks of all messages.
    pub(super) fn webhooks_taken(&self) -> bool {
        self.trace.webhooks_taken()
    }

    /// The customer writes, and it is shown.
    pub(super) fn say(&mut self, conversation: &str, message: &Message) {
        if let Channel::Email { subject, .. } = &message.channel {
            self.screen.subject(subject);
        }
        self.screen.customer(&message.text);
        self.write(conversation, message);
    }

    /// The conversation as it is now.
    ///
    /// # Errors
    /// If there is none with that id.
    pub(super) fn conversation(&self, id: &str) -> anyhow::Result<ConversationView> {
        let found = self.stage.gladly.conversation(id);
        found.ok_or_else(|| anyhow!("the conversation is gone"))
    }

    /// Waits until something may be new. May be dropped while it waits.
    pub(super) async fn changed(&mut self) {
        // The simulators' ends live in the stage, so `changed` can't fail.
        tokio::select! {
            _ = self.gladly_changes.changed() => {}
            _ = self.gleen_changes.changed() => {}
            () = self.outcomes.changed() => {}
        }
    }

    /// Shows what is new. Returns how turns ended meanwhile.
    pub(super) async fn show_news(&mut self) -> Vec<Ending> {
        let counts = self.outcomes.latest();
        for news in self.trace.news(&self.stage).await {
            self.screen.news(&news);
        }
        let mut endings = Vec::new();
        for ending in Ending::ALL {
            for _ in self.shown.of(ending)..counts.of(ending) {
                self.screen.ending(ending, self.trace.asked());
                endings.push(ending);
            }
        }
        self.shown = counts;
        endings
    }

    /// Shows what comes until `came` holds.
    ///
    /// # Errors
    /// Says what was expected, if it doesn't come.
    pub(super) async fn expect(
        &mut self,
        what: &str,
        came: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let coming = async {
            loop {
                self.show_news().await;
                if came(self) {
                    // What made it come may be newer than what was shown.
                    self.show_news().await;
                    return;
                }
                self.changed().await;
            }
        };
        timeout(PATIENCE, coming).await.map_err(|_| {
            let seconds = PATIENCE.as_secs();
            anyhow!("expected {what}, but it did not come within {seconds} s")
        })
    }

    /// Shows what comes until one more turn has ended so.
    ///
    /// # Errors
    /// If it doesn't.
    pub(super) async fn expect_ending(&mut self, ending: Ending, what: &str) -> anyhow::Result<()> {
        self.awaited.add(ending);
        let wanted = self.awaited.of(ending);
        self.expect(what, |session| session.shown.of(ending) >= wanted)
            .await
    }
}
