//! Histories that random ones found, made short.

use super::*;
use crate::store::Learnt;

impl Player {
    /// An event says that this agent has it, or nobody in this inbox.
    fn told(&mut self, inbox: &str, agent: Option<&str>) {
        let named = |id| Named::This(AgentId::parse(id).unwrap());
        let holder = Holder {
            inbox_id: Named::This(InboxId::parse(inbox).unwrap()),
            agent_id: agent.map_or(Named::Nobody, named),
        };
        let facts = &mut self.standing.known.facts;
        facts.hear_holder(&self.bot, Some(&holder), None, at(self.seconds));
    }

    fn settles(&self) -> bool {
        let settled = |learnt: &Learnt| matches!(learnt, Learnt::Settled(_));
        self.turn.learnt.iter().any(settled)
    }
}

#[test]
fn a_move_that_nobody_saw_says_nothing_about_later_messages() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    let failed = |effect| Happened::Failed(later_error(effect));
    let Action::Write(index) = player.next(Happened::TooLate) else {
        panic!("the move");
    };
    player.write(index, failed(Effect::Unknown));
    player.seconds = 61;
    player.told("humans", None);
    assert_eq!(player.next(Happened::Claimed), Action::Look);
    let end = Action::End(Outcome::HandedOff(HandoffReason::Deadline));
    let mut action = Action::Look;
    for _ in 0..3 {
        assert!(matches!(action, Action::Look | Action::Wait { .. }));
        action = player.next(failed(Effect::None));
    }
    assert_eq!(action, end);
    let bases: Vec<u64> = player
        .turn
        .learnt
        .iter()
        .filter_map(|learnt| match learnt {
            Learnt::Moved(_, base) => Some(*base),
            _ => None,
        })
        .collect();
    assert_eq!(bases, [0]);
}

/// A turn that has written a part, with this effect, when an agent takes over.
fn taken_over_after(happened: Happened) -> (Player, Action) {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.next(Happened::Fetched(Player::item("c", "hello")));
    let words = "words ".repeat(300);
    assert_eq!(player.answer(&format!("{words}\n\n{words}")), Action::Look);
    assert_eq!(player.look("ai", None), Action::Write(0));
    player.turn.begin_write(0, at(0));
    player.told("ai", Some("ada"));
    let action = player.next(happened);
    (player, action)
}

const HUMAN: Action = Action::End(Outcome::Skipped(SkipReason::HumanAssigned));

#[test]
fn what_was_surely_sent_settles_a_message_that_a_human_took_over() {
    let item = ItemId::parse("part").unwrap();
    let (player, action) = taken_over_after(Happened::Written(Some(item)));
    assert_eq!(action, HUMAN);
    assert!(player.settles());
}

#[test]
fn what_was_begun_and_not_found_settles_nothing() {
    let unclear = Happened::Failed(later_error(Effect::Unknown));
    let (mut player, action) = taken_over_after(unclear);
    assert!(matches!(action, Action::Wait { .. }), "{action:?}");
    let search = player.next(Happened::Claimed);
    assert_eq!(search, Action::List(Purpose::Search(0)));
    let mut listed = answered_and_asked_again();
    listed.items.truncate(1);
    let waits = player.next(Happened::Listed(listed));
    assert!(matches!(waits, Action::Wait { .. }), "{waits:?}");
    // The next message can't wait for another search.
    player.standing.next_deadline_at = Some(at(35).at);
    player.seconds = 40;
    assert_eq!(player.next(Happened::Claimed), HUMAN);
    assert!(!player.settles());
}

/// The customer's item, an agent's answer, and another item of the customer.
fn answered_and_asked_again() -> Listed {
    let item = |id: &str, by: &str| {
        let value = json!({"id": id, "conversationId": "c", "initiator": {"type": by},
            "content": {"type": "CHAT_MESSAGE", "content": id}});
        Item::read(&value).unwrap()
    };
    Listed {
        items: vec![
            item("item", "CUSTOMER"),
            item("answer", "AGENT"),
            item("again", "CUSTOMER"),
        ],
        complete: true,
    }
}

#[test]
fn what_a_merged_lane_lists_is_not_taken_up_for_another_turn_may_run_it() {
    for merged in [false, true] {
        let mut player = Player::new();
        player.turn.messages[0].written.happened_at = Some(at(0).at);
        player.seconds = 100;
        player.turn.messages[0].received_at = at(100).at;
        player.turn.deadline_at = at(160).at;
        player.turn.messages[0].deadline_at = at(160).at;
        assert_eq!(player.next(Happened::Claimed), Action::List(Purpose::Fetch));
        let other = ConversationId::parse("c").unwrap();
        player.standing.merged_into = merged.then_some(other);
        let action = player.next(Happened::Listed(answered_and_asked_again()));
        let left = Action::End(Outcome::Skipped(SkipReason::AlreadyAnswered));
        assert_eq!(action == left, merged, "{action:?}");
        let takes_up = |learnt: &Learnt| matches!(learnt, Learnt::TookUp(_));
        assert_eq!(player.turn.learnt.iter().any(takes_up), !merged);
    }
}
