//! Dead letters: a person lets one wait again, or forgets it.

use jiff::Timestamp;

use crate::store::lane::{Arrival, LaneTurn, Run, untold_deadline};
use crate::store::past::By;
use crate::store::picture::{Picture, TurnChange};
use crate::store::totals::Total;
use crate::store::types::{DeadLetterId, Message, RetryRequest};

/// The messages wait again, for a new turn, and have the usual time from its
/// claim on; where it had none, the conversation counts as having come to the bot.
/// But a turn that may have answered goes on itself, with the handoff: asking the
/// bot again would answer twice. What the bot has answered or handed off since
/// does not wait again.
/// False if there is nothing to retry, or its lane is taken.
pub(super) fn retry(request: RetryRequest, picture: &mut Picture) -> bool {
    let Some(letter) = picture.dead_letter.take() else {
        return false;
    };
    let (Some(turn_id), Some(conversation_id)) = (letter.turn_id, letter.conversation_id) else {
        return false;
    };
    let key = picture.survivor(&(letter.account, conversation_id));
    let mut conversation = picture.conversation(&key);
    let Some(Ok(turn)) = picture.turns.remove(&turn_id) else {
        return false;
    };
    let now = request.now.at;
    let died = turn.end.as_ref().map(|end| (end.at, turn.messages.len()));
    let account = &key.0;
    let undone = died.map(|(at, messages)| Total::undo_dead(account, at, messages));
    if letter.may_have_written {
        if !conversation.lane.turns.is_empty() {
            return false;
        }
        conversation.lane.turns.push(LaneTurn {
            id: turn_id,
            received_at: now,
            run: Run::Until(now),
        });
        picture
            .changes
            .turns
            .push(TurnChange::Reopened { id: turn_id });
    } else {
        let known = &conversation.known;
        let mut messages = turn.messages;
        if messages.is_empty() {
            // It began because the conversation came to the bot, and so does the next.
            let arrival = Arrival::without_deadline(known.facts.revision(), now);
            conversation.lane.arrival.get_or_insert(arrival);
        }
        messages.retain(|message| !known.is_settled(&message.item_id));
        for message in messages {
            conversation.lane.wait(Message {
                received_at: now,
                deadline_at: untold_deadline(now),
                ..message
            });
        }
    }
    picture.changes.totals.extend(undone);
    conversation.past.hear(now, "RETRY", By::Person);
    // Now, by the clock of whoever claims it, which is not the operator's.
    conversation.due_at = Some(Timestamp::UNIX_EPOCH);
    picture.put(&key, conversation, now);
    picture.changes.settled.push(request.id);
    true
}

/// Forgets it. False if there is none with this id.
pub(super) fn drop(id: DeadLetterId, picture: &mut Picture) -> bool {
    let found = picture.dead_letter.take().is_some();
    if found {
        picture.changes.settled.push(id);
    }
    found
}
