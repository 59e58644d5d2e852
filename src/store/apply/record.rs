//! Journaling a webhook: what it says changes the facts of its conversation,
//! and a customer's message waits in the lane.

use crate::clock::later;
use crate::conversation::{Closing, Holder, Status, Written};
use crate::id::{ConversationId, ItemId};
use crate::store::lane::Arrival;
use crate::store::past::By;
use crate::store::picture::{Conversation, Key, Picture};
use crate::store::totals::{RECOVERED, Total};
use crate::store::types::{
    Change, DeadLetter, DeadLetterId, Delivery, MOST_UNUSABLE, Message, Recorded, Source,
};

pub(super) fn record(delivery: Delivery, picture: &mut Picture) -> Recorded {
    let forgotten_until = picture.forgotten_until.get(&delivery.account);
    if delivery
        .raised_at
        .zip(forgotten_until.copied())
        .is_some_and(|(raised_at, until)| raised_at <= until)
    {
        return Recorded::TooOld;
    }
    let event = (delivery.account.clone(), delivery.event_id.clone());
    if !picture.events.insert(event) {
        return Recorded::Duplicate;
    }
    picture.changes.events.push((
        delivery.account.clone(),
        delivery.event_id.clone(),
        delivery.kept_from(),
        delivery.raised_at,
    ));
    match &delivery.change {
        Change::Message {
            conversation_id,
            item_id,
            context,
        } => {
            return message(
                &delivery,
                conversation_id,
                item_id,
                context.as_ref(),
                picture,
            );
        }
        Change::Status(id, status) => hear_status(&delivery, id, *status, picture),
        Change::Holder(id, holder) => hear_holder(&delivery, id, holder.as_ref(), picture),
        Change::Merge {
            source,
            destination,
        } => {
            let key = |id: &ConversationId| (delivery.account.clone(), id.clone());
            merge(
                &key(source),
                &key(destination),
                delivery.received.at,
                picture,
            );
        }
        // The first of a flood tell as much as all.
        Change::Unusable(_) if picture.unusable >= MOST_UNUSABLE => {}
        Change::Unusable(error) => picture.changes.dead_letters.push(DeadLetter {
            id: DeadLetterId(0),
            account: delivery.account,
            turn_id: None,
            conversation_id: None,
            event_type: Some(delivery.event_type.to_owned()),
            may_have_written: false,
            error: error.clone(),
            created_at: delivery.received.at,
        }),
    }
    Recorded::Accepted
}

fn message(
    delivery: &Delivery,
    conversation_id: &ConversationId,
    item_id: &ItemId,
    context: Option<&Holder>,
    picture: &mut Picture,
) -> Recorded {
    let item = (delivery.account.clone(), item_id.clone());
    if !picture.items.insert(item) {
        // That its event came is written in any case.
        hear(delivery, conversation_id, By::Duplicate, picture);
        return Recorded::Duplicate;
    }
    if matches!(delivery.source, Source::Sweep { .. }) {
        let recovered = Total::one(&delivery.account, RECOVERED, delivery.received.at);
        picture.changes.totals.push(recovered);
    }
    let received_at = delivery.received.at;
    picture.changes.items.push((
        delivery.account.clone(),
        item_id.clone(),
        delivery.kept_from(),
    ));
    change(delivery, conversation_id, picture, |conversation, about| {
        let went_on = conversation
            .past
            .episode
            .go_on(&delivery.account, received_at);
        let facts = &mut conversation.known.facts;
        let heard = facts.hear_message(
            &delivery.bot,
            context.filter(|_| about == About::ThisOne && delivery.source == Source::Webhook),
            delivery.happened_at,
            delivery.received,
        );
        conversation.lane.wait(Message {
            item_id: item_id.clone(),
            written: Written {
                heard,
                happened_at: delivery.happened_at,
            },
            received_at,
            deadline_at: later(received_at, delivery.answer_deadline),
            overdue: delivery.source.is_overdue(),
        });
        went_on
    });
    Recorded::Accepted
}

fn hear_status(delivery: &Delivery, id: &ConversationId, status: Status, picture: &mut Picture) {
    change(delivery, id, picture, |conversation, about| {
        let known = &mut conversation.known;
        let happened_at = delivery.happened_at;
        let status = if about == About::ThisOne {
            status
        } else {
            Status::Unclear
        };
        known
            .facts
            .hear_status(status, happened_at, delivery.received);
        if status == Status::Closed {
            let heard = known.facts.revision();
            known.close(Closing { heard, happened_at });
        }
        let (episode, now) = (&mut conversation.past.episode, delivery.received.at);
        match status {
            Status::Closed => episode.close(&delivery.account, now),
            Status::Open => episode.go_on(&delivery.account, now),
            Status::Unclear => None,
        }
    });
}

fn hear_holder(
    delivery: &Delivery,
    id: &ConversationId,
    holder: Option<&Holder>,
    picture: &mut Picture,
) {
    change(delivery, id, picture, |conversation, about| {
        // That it was the bot's then says that it may be now: look.
        let is_history =
            |holder: &Holder| delivery.source != Source::Webhook && delivery.bot.is_holder(holder);
        let holder = holder.filter(|holder| about == About::ThisOne && !is_history(holder));
        let facts = &mut conversation.known.facts;
        let received = delivery.received;
        if facts.hear_holder(&delivery.bot, holder, delivery.happened_at, received) {
            conversation.lane.arrival = Some(Arrival {
                heard: facts.revision(),
                received_at: received.at,
                deadline_at: later(received.at, delivery.answer_deadline),
                overdue: delivery.source.is_overdue(),
            });
        }
        if holder.is_some_and(|holder| !delivery.bot.is_holder(holder)) {
            conversation.past.episode.taken();
        }
        None
    });
}

/// Which conversation an event speaks of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// The one that is changed.
    ThisOne,
    /// One that was merged into it: who held that and whether it was closed says
    /// nothing about this one.
    OneThatIsGone,
}

/// Remembers that an event came that changed nothing.
fn hear(delivery: &Delivery, id: &ConversationId, by: By, picture: &mut Picture) {
    let key = picture.survivor(&(delivery.account.clone(), id.clone()));
    let mut conversation = picture.conversation(&key);
    let past = &mut conversation.past;
    past.hear(delivery.received.at, delivery.event_type, by);
    picture.put(&key, conversation, delivery.received.at);
}

/// Changes a conversation by what an event says of it, and remembers the event.
/// Counts what `change` answers.
fn change(
    delivery: &Delivery,
    id: &ConversationId,
    picture: &mut Picture,
    change: impl FnOnce(&mut Conversation, About) -> Option<Total>,
) {
    let key = picture.survivor(&(delivery.account.clone(), id.clone()));
    let mut conversation = picture.conversation(&key);
    let about = if key.1 == *id {
        About::ThisOne
    } else {
        About::OneThatIsGone
    };
    let counted = change(&mut conversation, about);
    picture.changes.totals.extend(counted);
    let by = By::from(delivery.source);
    let past = &mut conversation.past;
    past.hear(delivery.received.at, delivery.event_type, by);
    picture.put(&key, conversation, delivery.received.at);
}

/// As [`merge()`], by Gladly's own word of this moment: it wins over a webhook that
/// told of the same merge the other way round.
pub(super) fn merge_seen(
    source: &Key,
    destination: &Key,
    now: jiff::Timestamp,
    picture: &mut Picture,
) {
    if destination != source && picture.survivor(destination) == *source {
        let mut left = picture.conversation(destination);
        left.merged_into = None;
        picture.put(destination, left, now);
    }
    merge(source, destination, now, picture);
}

/// `source` is gone. What was known of it and waits in it goes on in
/// `destination`, in one lane: a turn that runs keeps what comes after it
/// waiting. Merges may be told in any order: of the later one first.
pub(super) fn merge(source: &Key, destination: &Key, now: jiff::Timestamp, picture: &mut Picture) {
    let (source, destination) = (picture.survivor(source), picture.survivor(destination));
    if source == destination {
        return;
    }
    let mut gone = picture.conversation(&source);
    let mut left = picture.conversation(&destination);
    left.known.merge(std::mem::take(&mut gone.known));
    left.lane.join(std::mem::take(&mut gone.lane));
    left.past.merge(&mut gone.past);
    left.due_at = left.due_at.into_iter().chain(gone.due_at.take()).min();
    gone.merged_into = Some(destination.1.clone());
    picture.put(&source, gone, now);
    picture.put(&destination, left, now);
}
