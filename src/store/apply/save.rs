//! A turn's progress: what it learnt changes what is known of the
//! conversation, and its end frees the lane.

use std::time::Duration;

use jiff::Timestamp;

use super::record::merge_seen;
use crate::clock::time_until;
use crate::conversation::Closing;
use crate::conversation::{Status, Written};
use crate::id::TurnId;
use crate::outcome::{Outcome, SkipReason};
use crate::store::lane::{Arrival, Run};
use crate::store::picture::{Conversation, Key, Picture, TurnChange};
use crate::store::totals::{Tally, Total};
use crate::store::types::{
    Answer, DeadLetter, DeadLetterId, Learnt, Message, Progress, Save, Standing, StoreError,
    TurnEnd,
};

pub(super) fn save(save: &Save, picture: &mut Picture) -> Answer {
    let asked = (save.account.clone(), save.conversation_id.clone());
    let key = picture.survivor(&asked);
    let runs = picture.conversation(&key).lane;
    if !runs.is_run_by(save.turn_id, save.runner) {
        return Answer::Refused(StoreError::NotRunning);
    }
    for learnt in &save.learnt {
        learn(learnt, save, &asked, picture);
    }
    // A merge among what was learnt may have left another conversation.
    let key = picture.survivor(&asked);
    let mut conversation = picture.conversation(&key);
    progress(save, &key, &mut conversation, picture);
    picture.put(&key, conversation, save.now.at);
    Answer::Saved(standing(picture, &asked))
}

/// What is known of the conversation, or of the one that survived it.
pub(super) fn standing(picture: &Picture, asked: &Key) -> Standing {
    let key = picture.survivor(asked);
    let conversation = picture.conversation(&key);
    Standing {
        next_deadline_at: conversation.lane.next_deadline_at(),
        known: conversation.known,
        merged_into: (key != *asked).then_some(key.1),
    }
}

/// How a turn ends.
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// See [`Progress::Ended`].
    pub(super) may_have_written: bool,
    pub(super) state: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) now: Timestamp,
}

/// Counts a turn that ends.
pub(super) fn count_end(
    picture: &mut Picture,
    key: &Key,
    conversation: &mut Conversation,
    end: &End,
    took: Duration,
    tally: Tally,
) {
    let firsts = conversation.past.episode.end(&end.outcome, tally);
    let total = Total::of_turn(&key.0, &end.outcome, end.now, took, firsts, tally);
    picture.changes.totals.push(total);
}

/// Ends a turn; a dead one leaves a dead letter.
pub(super) fn end_turn(picture: &mut Picture, key: &Key, id: TurnId, end: End) {
    let End {
        outcome,
        may_have_written,
        state,
        trace,
        now,
    } = end;
    if let Outcome::Dead(error) = &outcome {
        picture.changes.dead_letters.push(DeadLetter {
            id: DeadLetterId(0),
            account: key.0.clone(),
            turn_id: Some(id),
            conversation_id: Some(key.1.clone()),
            event_type: None,
            may_have_written,
            error: error.clone(),
            created_at: now,
        });
    }
    let state = state.filter(|_| matches!(outcome, Outcome::Dead(_)));
    let end = TurnEnd { outcome, at: now };
    picture.changes.turns.push(TurnChange::Ended {
        id,
        end,
        state,
        trace,
    });
}

fn learn(learnt: &Learnt, save: &Save, asked: &Key, picture: &mut Picture) {
    let key = picture.survivor(asked);
    if let Learnt::Merged(into) = learnt {
        let into = (save.account.clone(), into.clone());
        return merge_seen(&key, &into, save.now.at, picture);
    }
    if let Learnt::Belongs(id, message) = learnt {
        return let_wait(message, &(save.account.clone(), id.clone()), save, picture);
    }
    let mut conversation = picture.conversation(&key);
    let known = &mut conversation.known;
    match learnt {
        Learnt::Looked(look) => {
            let was_closed = known.facts.status() == Some(Status::Closed);
            known.facts.see(&save.bot, look);
            if look.status == Status::Closed && !was_closed {
                known.close(Closing {
                    heard: look.base,
                    happened_at: None,
                });
                let closed = conversation.past.episode.close(&key.0, save.now.at);
                picture.changes.totals.extend(closed);
            }
        }
        Learnt::Moved(inbox_id, base) => known.facts.moved(inbox_id.clone(), *base, save.now),
        Learnt::Thread(thread_id, last) => known.keep_thread(thread_id.clone(), *last),
        Learnt::Read { repetition, locale } => {
            known.repetition = repetition.clone();
            known.locale = locale.clone().or(known.locale.take());
        }
        Learnt::Wrote(item_id) => known.add_own_items([item_id.clone()]),
        Learnt::Settled(items) => known.settle(items.iter().cloned()),
        Learnt::TookUp(messages) => take_up(messages, save, &mut conversation, picture),
        Learnt::Unusable(error) => picture.changes.dead_letters.push(DeadLetter {
            id: DeadLetterId(0),
            account: key.0.clone(),
            turn_id: None,
            conversation_id: Some(key.1.clone()),
            event_type: Some("item".to_owned()),
            may_have_written: false,
            error: error.clone(),
            created_at: save.now.at,
        }),
        Learnt::Merged(_) | Learnt::Belongs(..) => {}
    }
    picture.put(&key, conversation, save.now.at);
}

/// The message waits in the conversation that it is of. Nothing is known by it of who
/// holds that.
fn let_wait(message: &Message, of: &Key, save: &Save, picture: &mut Picture) {
    let key = picture.survivor(of);
    let mut conversation = picture.conversation(&key);
    let happened_at = message.written.happened_at;
    let facts = &mut conversation.known.facts;
    let heard = facts.hear_message(&save.bot, None, happened_at, save.now);
    conversation.lane.wait(Message {
        written: Written { heard, happened_at },
        ..message.clone()
    });
    picture.put(&key, conversation, save.now.at);
}

/// The turn's messages, with one of which no event told it. That may still come.
fn take_up(
    messages: &[Message],
    save: &Save,
    conversation: &mut Conversation,
    picture: &mut Picture,
) {
    for message in messages {
        let item = (save.account.clone(), message.item_id.clone());
        if picture.items.insert(item.clone()) {
            let kept_from = message.written.happened_at.unwrap_or(save.now.at);
            let kept_from = kept_from.max(save.now.at);
            picture.changes.items.push((item.0, item.1, kept_from));
        }
        let facts = &mut conversation.known.facts;
        facts.find_message(message.written.happened_at, save.now);
        let waiting = &mut conversation.lane.waiting;
        waiting.retain(|waiting| waiting.item_id != message.item_id);
    }
    picture.changes.turns.push(TurnChange::TookUp {
        id: save.turn_id,
        messages: messages.to_vec(),
    });
}

fn progress(save: &Save, key: &Key, conversation: &mut Conversation, picture: &mut Picture) {
    let id = save.turn_id;
    let trace = save.trace.clone();
    let went = |(state, words): (String, String)| TurnChange::Went {
        id,
        state,
        words,
        trace: save.trace.clone(),
    };
    match save.progress.clone() {
        Progress::Running { state, words } => picture.changes.turns.push(went((state, words))),
        Progress::PutOff { state, until } => {
            picture.changes.turns.extend(state.map(went));
            conversation.lane.set_run(id, Run::Until(until));
        }
        Progress::Forgotten => {
            conversation.lane.leave(id);
            conversation.past.forget(id);
            picture.changes.turns.push(TurnChange::Forgotten { id });
        }
        Progress::Ended {
            outcome,
            may_have_written,
            state,
            tally,
        } => {
            let now = save.now.at;
            let received_at = conversation.lane.received_at(id).unwrap_or(now);
            if outcome == Outcome::Replied {
                conversation.known.count_reply(save.now.at);
            }
            conversation.lane.leave(id);
            // What came to the bot meanwhile was dealt with, unless the turn left
            // the conversation alone by what it knew before, or to the humans, who
            // have given it back since, or messages wait that only the arrival
            // tells of.
            let facts = &conversation.known.facts;
            let left = matches!(outcome, Outcome::Skipped(_) | Outcome::HandedOff(_))
                && facts.may_be_bots(&save.bot);
            let arrival = &mut conversation.lane.arrival;
            if left && is_others(&outcome) {
                // Left as somebody else's, while the store was told of more.
                arrival.get_or_insert(Arrival::without_deadline(facts.revision(), save.now.at));
            } else if !left && !arrival.is_some_and(Arrival::stands_for_messages) {
                *arrival = None;
            }
            let end = End {
                outcome,
                may_have_written,
                state: Some(state),
                trace,
                now,
            };
            let took = time_until(now, received_at);
            count_end(picture, key, conversation, &end, took, tally);
            end_turn(picture, key, id, end);
        }
    }
}

/// Whether a turn left its messages to whoever held the conversation.
const fn is_others(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Skipped(
            SkipReason::NotAiInbox | SkipReason::HumanAssigned | SkipReason::HandedOff
        )
    )
}
