//! Gather: find out whose the conversation is, then fetch the messages.
//!
//! What a human holds is not even read.

use super::policy::{Gathered, repetition};
use super::turn::{Flow, Stop, TurnRun};
use crate::gladly::{GladlyError, Initiator, Item, Precedence};
use crate::id::ItemId;
use crate::store::{Checkpoint, Step};
use crate::text;

impl TurnRun {
    pub(super) async fn gather(&mut self) -> Result<Flow, Stop> {
        if self.needs_look() {
            self.look(Precedence::Fetch).await?;
        }
        if let Err(reason) = self.whose() {
            return Ok(Flow::skipped(reason));
        }
        for index in 0..self.turn.messages.len() {
            if self.gathered[index].is_none() {
                let item_id = self.turn.messages[index].item_id.clone();
                self.gathered[index] = Some(self.fetch(&item_id).await?);
            }
        }
        self.keep_gathered().await?;
        Ok(Flow::GoOn)
    }

    async fn fetch(&self, item_id: &ItemId) -> Result<Gathered, Stop> {
        let gladly = &self.account.gladly;
        let fetching = async {
            gladly
                .item(gladly.permit(Precedence::Fetch).await?, item_id)
                .await
        };
        match self.in_time(fetching).await? {
            Ok(item) => Ok(gathered(item)),
            // Gladly knows the item but won't show it (400), or has lost it.
            Err(GladlyError::Refused { .. }) => Ok(Gathered::unreadable()),
            Err(GladlyError::NotFound { .. }) if !self.may_still_appear() => {
                Ok(Gathered::unreadable())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn keep_gathered(&mut self) -> Result<(), Stop> {
        let contents = self.contents();
        let salt = format!("{}/{}", self.turn.account, self.turn.conversation_id);
        let repetition = repetition(&self.history.repetition, &contents, &salt);
        let locale = self.locale(&contents);
        let stored = contents
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<Vec<_>, _>>();
        let stored = stored
            .map_err(|error| Stop::Dead(format!("a message could not be stored: {error}")))?;
        let item_ids = self
            .turn
            .messages
            .iter()
            .map(|message| message.item_id.clone());
        let checkpoint = Checkpoint::Gathered {
            contents: item_ids.zip(stored).collect(),
            repetition: repetition.clone(),
            locale: locale.clone(),
        };
        self.checkpoint(checkpoint).await?;
        self.history.repetition = repetition;
        self.known.locale = locale.or(self.known.locale.take());
        self.turn.step = Step::Ask;
        Ok(())
    }

    /// The language of the latest message that tells it surely.
    fn locale(&self, contents: &[Gathered]) -> Option<String> {
        if !self.account.policy.detect_language {
            return None;
        }
        let sure = contents
            .iter()
            .rev()
            .find_map(|message| text::locale(&message.text));
        sure.map(str::to_owned)
    }
}

/// The longest text that is looked at, in characters: far more than anybody
/// writes, and little enough that reading it takes no time to speak of.
const LONGEST_TEXT: usize = 50_000;

fn gathered(item: Item) -> Gathered {
    let content = item.content;
    Gathered {
        by_customer: item.initiator == Initiator::Customer
            && Gathered::is_message(&content.content_type),
        content_type: content.content_type,
        text: content.text.chars().take(LONGEST_TEXT).collect(),
        from: content.from,
        subject: content.subject,
        attachments: content.attachments,
        readable: true,
    }
}
