//! Messages that a sweep found when their deadline had passed.

use super::*;
use crate::gladly::Listed;

impl Player {
    /// One message, heard of too late.
    fn overdue() -> Self {
        let mut player = Self::new();
        player.turn.overdue = true;
        player.turn.messages[0].overdue = true;
        assert_eq!(player.next(Happened::Claimed), Action::List(Purpose::Fetch));
        player
    }

    /// What is listed: the customer's item and, after it, one by each of these.
    fn listed(&mut self, text: &str, later: &[(&str, &str)]) -> Action {
        let mut items = vec![*Self::item("c", text)];
        for (id, by) in later {
            let value = json!({"id": id, "conversationId": "c", "initiator": {"type": by},
                "content": {"type": "CHAT_MESSAGE", "content": "later"}});
            items.push(Item::read(&value).unwrap());
        }
        let complete = true;
        self.next(Happened::Listed(Listed { items, complete }))
    }

    fn note(&self) -> &str {
        let mut parts = self.turn.parts();
        let note = parts.find(|(_, part)| part.kind == PartKind::Note);
        &note.expect("there is a note").1.body
    }

    fn settle(&mut self, item: &str) {
        let item = ItemId::parse(item).unwrap();
        self.standing.known.settle([item]);
    }
}

const ANSWERED: Action = Action::End(Outcome::Skipped(SkipReason::AlreadyAnswered));

#[test]
fn it_goes_to_a_human_with_a_note_that_says_why() {
    let mut player = Player::overdue();
    assert_eq!(
        player.listed("hello", &[("ack", "AUTOMATION")]),
        Action::Look
    );
    assert_eq!(player.look("ai", None), Action::Write(0), "the note");
    assert!(player.note().contains("did not see it in time"));
    player.write(0, Happened::Written(None));
    let end = player.write(1, Happened::Written(None));
    let deadline = Outcome::HandedOff(HandoffReason::Deadline);
    assert_eq!(end, Action::End(deadline));
}

#[test]
fn who_asks_for_a_human_is_told_apart() {
    let mut player = Player::overdue();
    player.listed("agent please", &[]);
    assert_eq!(player.turn.reason(), HandoffReason::CustomerRequested);
    assert!(player.note().contains("did not see it in time"));
}

#[test]
fn what_somebody_has_answered_since_is_left_alone() {
    assert_eq!(
        Player::overdue().listed("hello", &[("a", "AGENT")]),
        ANSWERED
    );
    let mut player = Player::overdue();
    player.settle("later");
    assert_eq!(player.listed("hello", &[("later", "CUSTOMER")]), ANSWERED);
    // The bot's answer to an earlier one is none to this.
    let mut player = Player::overdue();
    player.settle("earlier");
    assert_eq!(player.listed("hello", &[("reply", "API")]), Action::Look);
}

#[test]
fn nobody_hurries_to_find_that_out_until_something_fails() {
    let mut player = Player::overdue();
    player.seconds = 61;
    assert!(!player.turn.is_cut_by_deadline() && !player.turn.may_be_given_up());
    let list = Action::List(Purpose::Fetch);
    assert_eq!(player.next(Happened::DeadlinePassed), list);
    let failed = Happened::Failed(later_error(Effect::None));
    assert_eq!(player.next(failed), Action::Look, "the handoff's");
    assert_eq!(player.turn.reason(), HandoffReason::Deadline);
}

#[test]
fn what_came_in_time_is_put_to_the_bot_without_what_was_answered_before() {
    let mut player = Player::overdue();
    let fresh = Message {
        item_id: ItemId::parse("fresh").unwrap(),
        overdue: false,
        ..player.turn.messages[0].clone()
    };
    player.turn.messages.push(fresh);
    player.turn.words.contents.push(None);
    let action = player.listed("hello", &[("a", "AGENT"), ("fresh", "CUSTOMER")]);
    let Action::Ask(question) = action else {
        panic!("{action:?}");
    };
    assert_eq!(question.text, "later");
}
