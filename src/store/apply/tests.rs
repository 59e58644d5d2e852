//! The rules that the conformance suite does not reach: what a back end hands
//! over that it could not read, and orders that only chance brings about.

use std::time::Duration;

use jiff::Timestamp;

use super::apply;
use crate::clock::later;
use crate::id::TurnId;
use crate::outcome::{HandoffReason, Outcome, SkipReason};
use crate::store::conformance::bench::{
    DEADLINE, account, at, claim, delivery, ended, human, id, item, message, running, save,
    the_bots, written,
};
use crate::store::picture::{Conversation, Key, Picture, TurnChange, Unreadable};
use crate::store::{
    Answer, Arrival, Change, Claimed, Command, Lane, LaneTurn, Learnt, Memory, Message, Run,
    Runner, StoreError, StoredTurn,
};

fn key(conversation: &str) -> Key {
    (account(), id(conversation))
}

fn lane_turn(id: i64, run: Run) -> LaneTurn {
    LaneTurn {
        id: TurnId(id),
        received_at: at(0),
        run,
    }
}

fn waiting(item_id: &str, second: u64) -> Message {
    Message {
        item_id: item(item_id),
        written: written(1, second),
        received_at: at(second),
        deadline_at: at(second + DEADLINE),
        overdue: false,
    }
}

/// One conversation that is due, with this in it.
fn due(change: impl FnOnce(&mut Conversation)) -> Picture {
    let mut picture = Picture {
        next_turn_id: 7,
        due: vec![key("c")],
        ..Picture::default()
    };
    let mut conversation = Conversation::default();
    change(&mut conversation);
    picture.conversations.insert(key("c"), conversation);
    picture
}

fn claimed(picture: &mut Picture, second: u64) -> Claimed {
    match apply(Command::Claim(claim(1, second, 9)), picture) {
        Answer::Claimed(claimed) => claimed,
        other => panic!("{other:?}"),
    }
}

fn run(store: &Memory, command: Command) -> Answer {
    store.run(command)
}

fn claim_all(store: &Memory, second: u64) -> Vec<StoredTurn> {
    match run(store, Command::Claim(claim(1, second, 9))) {
        Answer::Claimed(claimed) => claimed.turns.into_iter().map(|(turn, _)| turn).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_turn_that_cannot_be_read_is_buried_and_its_lane_goes_on() {
    for (found, says) in [
        (Some(Err(Unreadable("torn".to_owned()))), "torn"),
        (None, "it is not there"),
    ] {
        let mut picture = due(|conversation| {
            conversation
                .lane
                .turns
                .push(lane_turn(3, Run::Until(at(0))));
            conversation.lane.wait(waiting("i", 1));
        });
        picture.turns.extend(found.map(|found| (TurnId(3), found)));
        assert!(claimed(&mut picture, 5).turns.is_empty());
        let changes = &picture.changes;
        let [letter] = &changes.dead_letters[..] else {
            panic!()
        };
        assert_eq!(
            (letter.turn_id, letter.may_have_written),
            (Some(TurnId(3)), true)
        );
        assert!(letter.error.ends_with(says), "{}", letter.error);
        assert!(matches!(
            &changes.turns[..],
            [TurnChange::Ended { id: TurnId(3), .. }]
        ));
        let (left, due_at) = &changes.conversations[&key("c")];
        assert_eq!((left.lane.turns.len(), *due_at), (0, Some(at(1))));
    }
}

#[test]
fn of_a_lost_claim_what_nobody_has_in_hand_may_be_claimed_again() {
    let lane = Lane {
        turns: vec![
            lane_turn(1, Run::By(Runner(1))),
            lane_turn(2, Run::By(Runner(1))),
            lane_turn(3, Run::By(Runner(2))),
        ],
        ..Lane::default()
    };
    let mut request = claim(1, 9, 10);
    request.running.insert(TurnId(1));
    // Of those whom the account was taken from, one still lets its turns end.
    request.letting_go = Some(Runner(2));
    assert_eq!(lane.claimable(&request), []);
    request.lost = true;
    assert_eq!(lane.claimable(&request), [TurnId(2)]);
}

#[test]
fn what_another_clock_stored_is_believed_no_further_than_a_deadline() {
    let far = at(1_000_000);
    let mut picture = due(|conversation| {
        let message = Message {
            received_at: far,
            deadline_at: Timestamp::MAX,
            ..waiting("i", 1)
        };
        conversation.lane.wait(message);
    });
    let turn = claimed(&mut picture, 5).turns.remove(0).0;
    assert_eq!((turn.id, picture.next_turn_id), (TurnId(7), 8));
    assert_eq!(
        (turn.received_at, turn.deadline_at),
        (at(5), at(5 + DEADLINE))
    );
}

#[test]
fn a_lane_with_nothing_to_do_begins_nothing() {
    let mut picture = due(|_| {});
    assert!(claimed(&mut picture, 5).turns.is_empty());
    assert_eq!((picture.next_turn_id, picture.changes.turns.len()), (7, 0));
    assert!(picture.changes.conversations.is_empty());
}

#[test]
fn an_arrival_and_messages_are_one_turn_with_the_nearer_deadline() {
    let mut picture = due(|conversation| {
        conversation.lane.wait(waiting("i", 3));
        conversation.lane.arrival = Some(Arrival {
            heard: 5,
            received_at: at(1),
            deadline_at: at(1 + DEADLINE),
            overdue: false,
        });
    });
    let turn = claimed(&mut picture, 9).turns.remove(0).0;
    assert_eq!((turn.messages.len(), turn.began), (1, 4));
    assert_eq!(
        (turn.received_at, turn.deadline_at),
        (at(1), at(1 + DEADLINE))
    );
}

#[test]
fn of_a_flood_the_newest_stands_for_the_last() {
    let mut conversation = Conversation::default();
    for second in 0..200 {
        conversation
            .lane
            .wait(waiting(&format!("i{second}"), second));
    }
    let lane = &conversation.lane;
    assert_eq!(lane.waiting.len(), 100);
    assert_eq!(lane.waiting.last().unwrap().item_id, item("i199"));
    assert_eq!(lane.waiting_since(), Some(at(0)));
}

#[test]
fn merges_that_contradict_each_other_end() {
    let mut picture = Picture::default();
    for (gone, left) in [("a", "b"), ("b", "a")] {
        let conversation = Conversation {
            merged_into: Some(id(left)),
            ..Conversation::default()
        };
        picture.conversations.insert(key(gone), conversation);
    }
    let answer = apply(Command::Record(message("e", "a", "i", 0)), &mut picture);
    assert!(matches!(answer, Answer::Recorded(_)));
}

/// A conversation came to the bot while a turn ran in it.
#[test]
fn what_came_meanwhile_is_dealt_with_unless_the_turn_left_it_to_others() {
    let skipped = Outcome::Skipped(SkipReason::NotAiInbox);
    for (outcome, begins) in [
        (Outcome::Replied, 0),
        (Outcome::HandedOff(HandoffReason::Deadline), 1),
        (skipped, 1),
    ] {
        let store = Memory::new();
        let taken = delivery("e0", 0, Change::Holder(id("c"), Some(human())));
        run(&store, Command::Record(taken));
        run(&store, Command::Record(message("e1", "c", "i1", 1)));
        let turn = claim_all(&store, 2).remove(0);
        let back = delivery("e2", 3, Change::Holder(id("c"), Some(the_bots())));
        run(&store, Command::Record(back));
        run(
            &store,
            Command::Save(save(&turn, 1, 4, vec![], ended(outcome.clone()))),
        );
        assert_eq!(claim_all(&store, 5).len(), begins, "{outcome:?}");
    }
}

#[test]
fn a_reply_counts_and_nothing_else_does() {
    let store = Memory::new();
    for (number, outcome) in [
        Outcome::Replied,
        Outcome::Dead("x".to_owned()),
        Outcome::Replied,
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("x{number}");
        run(&store, Command::Record(message(&name, "c", &name, 1)));
        let turn = claim_all(&store, 2).remove(0);
        run(
            &store,
            Command::Save(save(&turn, 1, 3, vec![], ended(outcome))),
        );
    }
    run(&store, Command::Record(message("e", "c", "i", 4)));
    let turn = claim_all(&store, 5).remove(0);
    let Answer::Saved(standing) = run(
        &store,
        Command::Save(save(&turn, 1, 6, vec![], running("s"))),
    ) else {
        panic!()
    };
    assert_eq!(standing.known.replies(), 2);
    let soon = later(at(6), Duration::from_mins(61));
    assert_eq!(
        (
            standing.known.replies_last_hour(at(6)),
            standing.known.replies_last_hour(soon)
        ),
        (2, 0)
    );
}

#[test]
fn what_a_turn_takes_up_waits_no_longer() {
    let store = Memory::new();
    run(&store, Command::Record(message("e1", "c", "i1", 0)));
    let turn = claim_all(&store, 1).remove(0);
    run(&store, Command::Record(message("e2", "c", "i2", 2)));
    let learnt = vec![Learnt::TookUp(vec![waiting("i1", 0), waiting("i2", 2)])];
    let Answer::Saved(standing) = run(
        &store,
        Command::Save(save(&turn, 1, 3, learnt, running("s"))),
    ) else {
        panic!()
    };
    assert_eq!(standing.next_deadline_at, None);
}

#[test]
fn a_merge_may_join_a_running_turn_with_one_that_was_put_off() {
    let mut picture = due(|conversation| {
        let runs = Run::By(Runner(1));
        conversation.lane.turns = vec![lane_turn(3, runs), lane_turn(4, Run::Until(at(2)))];
    });
    let stored = StoredTurn {
        id: TurnId(4),
        account: account(),
        conversation_id: id("c"),
        received_at: at(0),
        deadline_at: at(DEADLINE),
        messages: vec![],
        began: 0,
        state: None,
        words: None,
        retried: false,
        overdue: false,
        trace: None,
        end: None,
    };
    picture.turns.insert(TurnId(4), Ok(stored));
    let turns = claimed(&mut picture, 5).turns;
    assert_eq!(
        turns.iter().map(|(turn, _)| turn.id).collect::<Vec<_>>(),
        [TurnId(4)]
    );
    let (left, due_at) = &picture.changes.conversations[&key("c")];
    assert!(left.lane.is_run_by(TurnId(3), Runner(1)) && left.lane.is_run_by(TurnId(4), Runner(1)));
    assert_eq!(*due_at, None);
}

#[test]
fn a_refused_save_changes_nothing() {
    let mut picture = due(|conversation| {
        conversation
            .lane
            .turns
            .push(lane_turn(3, Run::By(Runner(2))));
    });
    let turn = StoredTurn {
        id: TurnId(3),
        ..claimed(
            &mut due(|conversation| conversation.lane.wait(waiting("i", 0))),
            1,
        )
        .turns
        .remove(0)
        .0
    };
    let learnt = vec![Learnt::Wrote(item("own")), Learnt::Merged(id("d"))];
    let answer = apply(
        Command::Save(save(&turn, 1, 5, learnt, running("s"))),
        &mut picture,
    );
    assert!(matches!(answer, Answer::Refused(StoreError::NotRunning)));
    assert!(picture.changes.conversations.is_empty() && picture.changes.turns.is_empty());
}
