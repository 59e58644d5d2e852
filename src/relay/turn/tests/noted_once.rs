//! A human finds one note about a conversation, and a customer one answer.

use super::*;
use crate::gladly::Listed;

impl Player {
    /// A message that was heard after an earlier turn had moved the conversation to
    /// the humans, as when its webhook comes late, or again.
    fn after_a_handoff() -> Self {
        let mut player = Self::new();
        let facts = &mut player.standing.known.facts;
        facts.moved(player.humans.clone(), facts.revision(), at(0));
        let heard = facts.hear_message(&player.bot, None, None, at(0));
        player.turn.messages[0].written.heard = heard;
        player
    }

    fn kind(&self, index: usize) -> PartKind {
        self.turn.part(index).unwrap().kind
    }
}

const LEFT: Action = Action::End(Outcome::Skipped(SkipReason::HandedOff));

#[test]
fn who_is_past_the_deadline_leaves_alone_what_an_earlier_turn_has_handed_over() {
    let mut player = Player::after_a_handoff();
    player.seconds = 61;
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    assert_eq!(player.look("humans", None), LEFT);
    assert_eq!(player.turn.note_left_out(), None);
}

#[test]
fn who_is_past_the_deadline_leaves_alone_what_a_human_has_taken_up_since() {
    let mut player = Player::after_a_handoff();
    player.seconds = 61;
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    let left = player.look("humans", Some("human"));
    assert!(matches!(left, Action::End(Outcome::Skipped(_))), "{left:?}");
    assert_eq!(player.turn.note_left_out(), None);
}

#[test]
fn who_is_given_up_leaves_alone_what_an_earlier_turn_has_handed_over() {
    let mut player = Player::after_a_handoff();
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    assert_eq!(player.next(Happened::TooLate), Action::Look);
    assert_eq!(player.look("humans", None), LEFT);
    assert_eq!(
        player.turn.note_left_out(),
        None,
        "nor is one written later"
    );
}

#[test]
fn what_took_long_to_be_stored_settles_from_its_call_on() {
    let mut player = Player::answered();
    player.look("ai", None);
    player.turn.begin_write(0, at(0));
    player.turn.begin_sending(0, at(14));
    player.seconds = 15;
    let unclear = Happened::Failed(later_error(Effect::Unknown));
    assert!(matches!(player.next(unclear), Action::Wait { .. }));
    // 20 s after it was stored, and 6 s after it was sent.
    for (seconds, absent) in [(20, false), (34, true)] {
        player.seconds = seconds;
        let search = player.next(Happened::Claimed);
        assert_eq!(search, Action::List(Purpose::Search(0)));
        let listed = Listed {
            items: vec![*Player::item("c", "hello")],
            complete: true,
        };
        let next = player.next(Happened::Listed(listed));
        assert_eq!(
            !matches!(next, Action::Wait { .. }),
            absent,
            "{seconds}: {next:?}"
        );
    }
}

#[test]
fn a_turn_whose_words_are_lost_writes_no_second_note() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    let item = Player::item("c", "agent please");
    assert_eq!(player.next(Happened::Fetched(item)), Action::Look);
    assert_eq!(player.look("ai", None), Action::Write(0));
    assert_eq!(player.kind(0), PartKind::Note);
    let moves = player.write(0, Happened::Written(None));
    assert_eq!(moves, Action::Write(1));
    let (state, _) = player.turn.to_store();
    // Stored, then sealed with a key that is gone.
    player.turn = Turn::restore(StoredTurn {
        id: player.turn.id(),
        account: player.turn.account().clone(),
        conversation_id: player.turn.conversation_id().clone(),
        received_at: player.turn.received_at(),
        deadline_at: player.turn.deadline_at(),
        messages: player.turn.messages().to_vec(),
        began: 1,
        state: Some(state),
        words: None,
        retried: false,
        overdue: false,
        trace: None,
        end: None,
    })
    .unwrap();
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    let Action::Write(next) = player.look("ai", None) else {
        panic!("it moves");
    };
    assert_eq!(player.kind(next), PartKind::Move);
    let end = player.write(next, Happened::Written(None));
    let expected = Outcome::HandedOff(HandoffReason::CustomerRequested);
    assert_eq!(end, Action::End(expected));
}
