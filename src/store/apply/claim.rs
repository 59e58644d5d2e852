//! Taking turns that are due: those that were put off or left behind go on; in
//! a lane without one, all messages that wait become a new turn.

use std::time::Duration;

use jiff::Timestamp;

use super::save::{End, count_end, end_turn, standing};
use crate::clock::clamped;
use crate::id::TurnId;
use crate::outcome::Outcome;
use crate::store::lane::{LaneTurn, Run};
use crate::store::picture::{Conversation, Key, Picture, TurnChange};
use crate::store::totals::Tally;
use crate::store::types::{ClaimRequest, Claimed, StoredTurn};

pub(super) fn claim(request: &ClaimRequest, picture: &mut Picture) -> Claimed {
    let mut claimed = Claimed {
        turns: Vec::new(),
        next_due_at: picture.next_due_at,
    };
    for key in std::mem::take(&mut picture.due) {
        let mut conversation = picture.conversation(&key);
        conversation.due_at = None;
        conversation
            .lane
            .believe(request.now.at, request.answer_deadline);
        let turns = if conversation.lane.turns.is_empty() {
            begin(request, &key, &mut conversation, picture)
                .into_iter()
                .collect()
        } else {
            go_on(request, &key, &mut conversation, picture)
        };
        picture.put(&key, conversation, request.now.at);
        for turn in turns {
            let standing = standing(picture, &(key.0.clone(), turn.conversation_id.clone()));
            claimed.turns.push((turn, standing));
        }
    }
    claimed
}

/// A new turn of all that waits.
fn begin(
    request: &ClaimRequest,
    key: &Key,
    conversation: &mut Conversation,
    picture: &mut Picture,
) -> Option<StoredTurn> {
    let lane = &mut conversation.lane;
    let received_at = lane.waiting_since()?;
    let arrival = lane.arrival.take();
    let mut messages = std::mem::take(&mut lane.waiting);
    // Gladly's times are finer than the order in which webhooks arrive.
    messages.sort_by_key(|message| message.written.happened_at.unwrap_or(message.received_at));
    let deadlines = messages.iter().map(|message| message.deadline_at);
    let deadline_at = deadlines
        .chain(arrival.map(|arrival| arrival.deadline_at))
        .min();
    let heard = messages.iter().map(|message| message.written.heard);
    // A message that was heard of in time is answered, whatever brought it here.
    let overdue = messages.iter().any(|message| message.overdue)
        || messages.is_empty() && arrival.is_some_and(|arrival| arrival.overdue);
    let arrived = arrival.map(|arrival| arrival.heard.saturating_sub(1));
    let began = heard.chain(arrived).max().unwrap_or_default();
    let id = TurnId(picture.next_turn_id);
    picture.next_turn_id += 1;
    let now = request.now.at;
    let turn = StoredTurn {
        id,
        account: key.0.clone(),
        conversation_id: key.1.clone(),
        received_at,
        deadline_at: deadline_at.unwrap_or(now),
        messages,
        began,
        state: None,
        words: None,
        retried: false,
        overdue,
        trace: None,
        end: None,
    };
    lane.turns.push(LaneTurn {
        id,
        received_at: turn.received_at,
        run: Run::By(request.runner),
    });
    conversation.past.begin(id);
    picture.changes.turns.push(TurnChange::Began(turn.clone()));
    Some(turn)
}

/// The turns that nobody runs.
fn go_on(
    request: &ClaimRequest,
    key: &Key,
    conversation: &mut Conversation,
    picture: &mut Picture,
) -> Vec<StoredTurn> {
    let mut turns = Vec::new();
    for id in conversation.lane.claimable(request) {
        match picture.turns.remove(&id) {
            Some(Ok(mut turn)) => {
                conversation.lane.set_run(id, Run::By(request.runner));
                turn.deadline_at =
                    clamped(turn.deadline_at, request.now.at, request.answer_deadline);
                turn.received_at = turn.received_at.min(request.now.at);
                turns.push(turn);
            }
            found => {
                let what = found
                    .and_then(Result::err)
                    .map_or_else(|| "it is not there".to_owned(), |unreadable| unreadable.0);
                bury(id, &what, key, conversation, request.now.at, picture);
            }
        }
    }
    turns
}

/// A row that can't be read: that turn alone becomes a dead letter.
fn bury(
    id: TurnId,
    what: &str,
    key: &Key,
    conversation: &mut Conversation,
    now: Timestamp,
    picture: &mut Picture,
) {
    let error = format!("its stored row can't be read: {what}");
    conversation.lane.leave(id);
    let end = End {
        outcome: Outcome::Dead(error),
        may_have_written: true,
        state: None,
        trace: None,
        now,
    };
    let took = Duration::ZERO;
    count_end(picture, key, conversation, &end, took, Tally::default());
    end_turn(picture, key, id, end);
}
