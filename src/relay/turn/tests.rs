//! The turn, in tables: what it does next. Random histories stand beside.

mod found;
mod noted_once;
mod overdue;
mod told;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::clock::later;
use crate::conversation::{Holder, Named, Status};
use crate::gladly::Refusal;
use crate::id::AgentId;
use crate::store::StoredTurn;
use crate::upstream::Effect;

fn at(seconds: u64) -> Moment {
    Moment {
        clock: 1,
        at: later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds)),
    }
}

/// A turn of one message with 60 s to its deadline, in a conversation that the
/// message's own event names the bot's.
struct Player {
    turn: Turn,
    standing: Standing,
    policy: Policy,
    bot: Bot,
    humans: InboxId,
    seconds: u64,
    backlog: Duration,
}

impl Player {
    fn new() -> Self {
        let bot = Bot {
            ai_inbox_id: InboxId::parse("ai").unwrap(),
            agent_id: AgentId::parse("bot").unwrap(),
        };
        let mut standing = Standing::default();
        let ai = Holder::inbox(bot.ai_inbox_id.clone());
        let heard = standing
            .known
            .facts
            .hear_message(&bot, Some(&ai), None, at(0));
        let message = Message {
            item_id: ItemId::parse("item").unwrap(),
            written: Written {
                heard,
                happened_at: None,
            },
            received_at: at(0).at,
            deadline_at: at(60).at,
            overdue: false,
        };
        let stored = StoredTurn {
            id: TurnId(1),
            account: AccountName::new("acme"),
            conversation_id: ConversationId::parse("c").unwrap(),
            received_at: at(0).at,
            deadline_at: at(60).at,
            messages: vec![message],
            began: heard,
            state: None,
            words: None,
            retried: false,
            overdue: false,
            trace: None,
            end: None,
        };
        Self {
            turn: Turn::restore(stored).unwrap(),
            standing,
            policy: Policy::default(),
            bot,
            humans: InboxId::parse("humans").unwrap(),
            seconds: 0,
            backlog: Duration::ZERO,
        }
    }

    fn next(&mut self, happened: Happened) -> Action {
        let context = Context {
            policy: &self.policy,
            bot: &self.bot,
            handoff_inbox_id: &self.humans,
            standing: &self.standing,
            revision: self.standing.known.facts.revision(),
            now: at(self.seconds),
            wall: at(self.seconds).at,
            backlog: self.backlog,
            random: 1.0,
        };
        self.turn.next(happened, &context)
    }

    /// A look that shows this holder.
    fn look(&mut self, inbox: &str, agent: Option<&str>) -> Action {
        let named = |id| Named::This(AgentId::parse(id).unwrap());
        let look = Look {
            base: self.standing.known.facts.revision(),
            holder: Holder {
                inbox_id: Named::This(InboxId::parse(inbox).unwrap()),
                agent_id: agent.map_or(Named::Nobody, named),
            },
            status: Status::Open,
            at: at(self.seconds),
        };
        self.standing.known.facts.see(&self.bot, &look);
        self.next(Happened::Looked)
    }

    fn item(conversation: &str, text: &str) -> Box<Item> {
        let value = json!({"id": "item", "conversationId": conversation,
            "initiator": {"type": "CUSTOMER"},
            "content": {"type": "CHAT_MESSAGE", "content": text}});
        Box::new(Item::read(&value).unwrap())
    }

    fn answer(&mut self, text: &str) -> Action {
        let answer = json!({"thread_id": "t", "response": text});
        self.next(Happened::Answered(Answer::read(&answer, None, None)))
    }

    /// Claimed, fetched, asked, answered: what comes next.
    fn answered() -> Self {
        let mut player = Self::new();
        assert_eq!(player.next(Happened::Claimed), Action::Fetch(0));
        let asked = player.next(Happened::Fetched(Self::item("c", "hello")));
        assert!(matches!(asked, Action::Ask(_)));
        assert_eq!(player.answer("hi"), Action::Look, "the recheck");
        player
    }

    /// As `run` does before a write.
    fn write(&mut self, index: usize, happened: Happened) -> Action {
        self.turn.begin_write(index, at(self.seconds));
        self.next(happened)
    }
}

fn later_error(effect: Effect) -> GladlyError {
    GladlyError::RetryLater {
        operation: "test",
        what: "status 500".to_owned(),
        after: None,
        effect,
    }
}

fn refused(refusal: Refusal) -> GladlyError {
    GladlyError::Refused {
        operation: "test",
        refusal,
        codes: "status 400".to_owned(),
    }
}

#[test]
fn an_answer_is_a_fetch_a_question_a_look_and_a_reply() {
    let mut player = Player::answered();
    assert_eq!(player.look("ai", None), Action::Write(0));
    let end = player.write(0, Happened::Written(None));
    assert_eq!(end, Action::End(Outcome::Replied));
}

#[test]
fn a_message_that_waited_for_its_fetch_costs_no_look_of_its_own() {
    let mut player = Player::new();
    player.seconds = 40;
    assert_eq!(player.next(Happened::Claimed), Action::Fetch(0));
    player.turn.begin_read(at(40));
    let asked = player.next(Happened::Fetched(Player::item("c", "hello")));
    assert!(matches!(asked, Action::Ask(_)));
    assert_eq!(player.answer("hi"), Action::Look, "before the reply");
}

#[test]
fn what_took_long_to_read_is_not_asked_without_a_look() {
    let mut player = Player::new();
    assert_eq!(player.next(Happened::Claimed), Action::Fetch(0));
    player.turn.begin_read(at(0));
    player.seconds = 16;
    let look = player.next(Happened::Fetched(Player::item("c", "hello")));
    assert_eq!(look, Action::Look);
}

#[test]
fn a_look_and_the_writes_that_it_clears_are_admitted_together() {
    let mut player = Player::answered();
    assert_eq!(player.turn.calls_together(&Action::Look), 2, "and a reply");
    assert_eq!(player.turn.calls_left(&player.policy), 2);
    player.next(Happened::DeadlinePassed);
    assert_eq!(player.turn.calls_together(&Action::Look), 3, "note, move");
}

/// What is written, to the end.
fn writes(player: &mut Player, mut action: Action) -> Vec<PartKind> {
    let mut kinds = Vec::new();
    while let Action::Write(index) = action {
        kinds.push(player.turn.part(index).unwrap().kind);
        action = player.write(index, Happened::Written(None));
    }
    assert!(matches!(action, Action::End(Outcome::HandedOff(_))));
    kinds
}

#[test]
fn what_cannot_be_answered_in_time_is_moved_by_one_call_and_its_note_waits() {
    let mut player = Player::new();
    assert_eq!(player.next(Happened::Claimed), Action::Fetch(0));
    player.seconds = 20;
    let moves = player.next(Happened::TooLate);
    assert_eq!(player.turn.calls_together(&moves), 1);
    assert_eq!(player.turn.calls_left(&player.policy), 1);
    assert_eq!(writes(&mut player, moves), [PartKind::Move]);
    let note = player.turn.note_left_out().unwrap();
    assert!(note.contains("More customers wrote"), "{note}");
}

#[test]
fn in_a_crowd_a_handoff_leaves_its_note_out_and_otherwise_does_not() {
    for (backlog, kinds) in [
        (4, vec![PartKind::Note, PartKind::Move]),
        (40, vec![PartKind::Move]),
    ] {
        let mut player = Player::new();
        player.backlog = Duration::from_secs(backlog);
        player.next(Happened::Claimed);
        let item = Player::item("c", "agent please");
        assert_eq!(player.next(Happened::Fetched(item)), Action::Look);
        let action = player.look("ai", None);
        let left_out = kinds.len() == 1;
        assert_eq!(writes(&mut player, action), kinds);
        assert_eq!(player.turn.note_left_out().is_some(), left_out);
    }
}

#[test]
fn in_a_hurry_only_what_was_told_of_late_moves_without_a_look() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.seconds = 130;
    assert_eq!(player.next(Happened::TooLate), Action::Look);
}

#[test]
fn a_move_without_a_look_that_fails_is_looked_after() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    let Action::Write(index) = player.next(Happened::TooLate) else {
        panic!("the move");
    };
    let failed = Happened::Failed(later_error(Effect::Unknown));
    assert!(matches!(player.write(index, failed), Action::Wait { .. }));
    assert_eq!(player.next(Happened::Claimed), Action::Look);
}

#[test]
fn what_a_webhook_told_a_humans_is_not_moved_unseen() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    let ada = Holder {
        inbox_id: Named::This(InboxId::parse("ai").unwrap()),
        agent_id: Named::This(AgentId::parse("ada").unwrap()),
    };
    let facts = &mut player.standing.known.facts;
    facts.hear_holder(&player.bot, Some(&ada), None, at(1));
    let end = player.next(Happened::TooLate);
    let expected = Outcome::Skipped(SkipReason::HumanAssigned);
    assert_eq!(end, Action::End(expected));
}

#[test]
fn a_human_who_has_taken_over_meanwhile_is_not_talked_over() {
    let mut player = Player::answered();
    let end = Action::End(Outcome::Skipped(SkipReason::HumanAssigned));
    assert_eq!(player.look("ai", Some("ada")), end);
}

#[test]
fn a_reply_of_unknown_fate_is_looked_for_and_sent_again_only_once_it_has_settled() {
    let mut player = Player::answered();
    player.look("ai", None);
    let failed = Happened::Failed(later_error(Effect::Unknown));
    assert!(matches!(player.write(0, failed), Action::Wait { .. }));
    let search = Action::List(Purpose::Search(0));
    assert_eq!(player.next(Happened::Claimed), search);
    let items = vec![*Player::item("c", "hello")];
    let listed = || {
        Happened::Listed(Listed {
            items: items.clone(),
            complete: true,
        })
    };
    assert!(
        matches!(player.next(listed()), Action::Wait { .. }),
        "it may still show"
    );
    player.seconds = 21;
    assert_eq!(player.next(Happened::Claimed), search);
    assert_eq!(
        player.next(listed()),
        Action::Look,
        "what is known has grown old"
    );
}

#[test]
fn past_the_deadline_a_human_gets_what_is_surely_absent_and_nothing_else() {
    let mut player = Player::answered();
    player.seconds = 60;
    let look = player.next(Happened::DeadlinePassed);
    assert_eq!(look, Action::Look, "the handoff looks for itself");
    let Action::Write(note) = player.look("ai", None) else {
        panic!("the note comes first");
    };
    assert_eq!(player.turn.part(note).unwrap().kind, PartKind::Note);
    let Action::Write(moves) = player.write(note, Happened::Written(None)) else {
        panic!("then the move");
    };
    assert_eq!(player.turn.part(moves).unwrap().kind, PartKind::Move);
    let end = player.write(moves, Happened::Written(None));
    let expected = Outcome::HandedOff(HandoffReason::Deadline);
    assert_eq!(end, Action::End(expected));
}

#[test]
fn a_note_that_fails_is_tried_again_only_after_the_move() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    let item = Player::item("c", "agent please");
    assert_eq!(player.next(Happened::Fetched(item)), Action::Look);
    assert_eq!(player.look("ai", None), Action::Write(0));
    let moves = player.write(0, Happened::Failed(later_error(Effect::None)));
    assert_eq!(moves, Action::Write(1), "the move");
    let note = player.write(1, Happened::Written(None));
    assert_eq!(note, Action::Write(0), "the note, once more");
    let end = player.write(0, Happened::Failed(later_error(Effect::None)));
    let expected = Outcome::HandedOff(HandoffReason::CustomerRequested);
    assert_eq!(end, Action::End(expected));
}

#[test]
fn a_question_of_unknown_fate_is_put_once_more_and_after_a_timeout_never() {
    let uncertain = || {
        Happened::GleenFailed(GleenError::Uncertain {
            what: "cut".to_owned(),
            after: None,
        })
    };
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.next(Happened::Fetched(Player::item("c", "hello")));
    player.turn.begin_question(at(0));
    assert!(matches!(player.next(uncertain()), Action::Wait { .. }));
    assert!(matches!(player.next(Happened::Claimed), Action::Ask(_)));
    player.turn.begin_question(at(0));
    assert_eq!(player.next(uncertain()), Action::Look, "a human, then");
    assert_eq!(player.turn.step(), Step::HandOff);

    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.next(Happened::Fetched(Player::item("c", "hello")));
    player.turn.begin_question(at(0));
    player.next(Happened::GleenFailed(GleenError::Timeout));
    assert_eq!(player.turn.step(), Step::HandOff);
}

#[test]
fn an_item_of_another_conversation_is_neither_asked_nor_answered() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    let look = player.next(Happened::Fetched(Player::item("other", "secret")));
    assert_eq!(look, Action::Look, "a merge may explain it");
    let other = ConversationId::parse("other").unwrap();
    assert_eq!(player.look("ai", None), Action::LookElsewhere(other));
    let end = player.next(Happened::LookedElsewhere);
    assert!(matches!(end, Action::End(Outcome::Dead(_))), "{end:?}");
}

#[test]
fn a_refused_look_is_tried_until_the_deadline_and_then_a_human_gets_it_unseen() {
    let mut player = Player::answered();
    for _ in 0..4 {
        let wait = player.next(Happened::Failed(refused(Refusal::Other)));
        assert!(matches!(wait, Action::Wait { .. }), "{wait:?}");
        assert_eq!(player.next(Happened::Claimed), Action::Look);
    }
    player.seconds = 60;
    let mut action = player.next(Happened::Failed(refused(Refusal::Other)));
    for _ in 0..6 {
        action = match action {
            Action::Wait { .. } => player.next(Happened::Claimed),
            Action::Look => player.next(Happened::Failed(refused(Refusal::Other))),
            _ => break,
        };
    }
    let Action::Write(index) = action else {
        panic!("{action:?}");
    };
    assert_eq!(player.turn.part(index).unwrap().kind, PartKind::Move);
    assert!(player.turn.is_moving_unseen());
}

#[test]
fn after_a_day_of_failures_in_a_row_a_person_must_look() {
    let mut player = Player::answered();
    let failed = || Happened::Failed(later_error(Effect::None));
    assert!(matches!(player.next(failed()), Action::Wait { .. }));
    player.seconds = 86_399;
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    assert!(matches!(player.next(failed()), Action::Wait { .. }));
    player.seconds = 86_400;
    player.next(Happened::Claimed);
    let end = player.next(failed());
    assert!(matches!(end, Action::End(Outcome::Dead(_))), "{end:?}");
}

#[test]
fn near_the_deadline_nobody_waits_as_long_as_gladly_asks() {
    let ten_minutes = || {
        Happened::Failed(GladlyError::RetryLater {
            operation: "test",
            what: "status 429".to_owned(),
            after: Some(Duration::from_mins(10)),
            effect: Effect::None,
        })
    };
    let mut player = Player::answered();
    let Action::Wait { until, .. } = player.next(ten_minutes()) else {
        panic!("it waits");
    };
    assert_eq!(until, at(60).at, "until the deadline");
    player.seconds = 60;
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    let Action::Wait { until, .. } = player.next(ten_minutes()) else {
        panic!("it waits");
    };
    assert_eq!(until, at(75).at, "past it, a quarter of a minute");
}
