//! What a turn tells of itself: each thing that happened, in order, and how long
//! it took; without a word of anybody's.

use super::*;
use crate::outcome::HandoffReason;

impl Player {
    /// What it has told, in one word each.
    fn trace_words(&self) -> Vec<String> {
        let steps = self.steps();
        let steps = steps.as_array().unwrap();
        let words = steps.iter().map(|step| {
            let of = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
            let detail = [
                of("call"),
                of("part"),
                of("purpose"),
                of("reason"),
                of("found"),
            ];
            let words = [vec![of("what")], detail.into()].concat();
            let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
            words.join(" ")
        });
        words.collect()
    }

    fn steps(&self) -> serde_json::Value {
        serde_json::to_value(self.turn.trace().steps()).unwrap()
    }

    fn asks(&mut self) {
        self.turn.begin_question(at(self.seconds));
        self.turn.begin_asking(at(self.seconds));
    }

    fn calls(&mut self) {
        self.turn.begin_call(at(self.seconds));
    }
}

#[test]
fn an_answer_tells_each_of_its_calls_and_how_long_it_took() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.seconds = 2;
    player.calls();
    player.seconds = 3;
    player.next(Happened::Fetched(Player::item("c", "hello, needle")));
    player.asks();
    player.seconds = 5;
    player.answer("hi, needle");
    player.look("ai", None);
    player.turn.begin_write(0, at(5));
    player.calls();
    player.seconds = 6;
    let end = player.next(Happened::Written(None));
    assert_eq!(end, Action::End(Outcome::Replied));
    player.turn.tell_end(&Outcome::Replied, None, at(6).at);
    assert_eq!(
        player.trace_words(),
        ["claimed", "fetched", "asked", "wrote reply", "ended"]
    );
    let steps = player.steps();
    let timed = |index: usize| (&steps[index]["at"], &steps[index]["ms"]);
    assert_eq!(timed(1), (&json!(2_000), &json!(1_000)));
    assert_eq!(steps[1]["queued_ms"], 2_000);
    assert_eq!(steps[1]["characters"], 13);
    assert_eq!(timed(2), (&json!(3_000), &json!(2_000)));
    assert_eq!(steps[2]["answer"]["answered"]["characters"], 10);
    assert_eq!(steps[2]["answer"]["answered"]["parts"], 1);
    assert_eq!(
        (&steps[3]["came"], &steps[3]["attempt"]),
        (&json!("done"), &json!(1))
    );
    assert!(!steps.to_string().contains("needle"));
    let tally = player.turn.tally(&Outcome::Replied, 10);
    assert_eq!((tally.messages, tally.asked, tally.calls), (1, true, 2));
}

#[test]
fn whatever_fails_is_told_with_its_cause() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.calls();
    let wait = player.next(Happened::Failed(later_error(Effect::None)));
    assert!(matches!(wait, Action::Wait { .. }));
    player.seconds = 1;
    player.next(Happened::Claimed);
    // Without a permit no call is made.
    player.next(Happened::Failed(later_error(Effect::None)));
    assert_eq!(
        player.trace_words(),
        ["claimed", "failed fetch", "waits", "failed permit", "waits"]
    );
    let steps = player.steps();
    assert_eq!(steps[1]["error"], "test: status 500; trying again later");
    assert_eq!(steps[2]["why"], steps[1]["error"]);
}

#[test]
fn a_reply_of_unknown_fate_is_looked_for_and_found_or_not() {
    for (there, says) in [(true, "there"), (false, "not_there")] {
        let mut player = Player::answered();
        player.look("ai", None);
        player.turn.begin_write(0, at(0));
        player.calls();
        let search = player.next(Happened::Failed(later_error(Effect::Unknown)));
        assert!(matches!(search, Action::Wait { .. }), "{search:?}");
        player.seconds = 30;
        player.next(Happened::Claimed);
        player.calls();
        let items = if there {
            let value = json!({"id": "own", "conversationId": "c", "initiator": {"type": "AGENT"},
                "content": {"type": "CHAT_MESSAGE", "content": "hi"}});
            vec![*Player::item("c", "hello"), Item::read(&value).unwrap()]
        } else {
            vec![*Player::item("c", "hello")]
        };
        let complete = true;
        player.next(Happened::Listed(Listed { items, complete }));
        let told = player.trace_words();
        let search = format!("listed search {says}");
        assert!(told.contains(&search), "{told:?}");
    }
}

#[test]
fn a_kill_leaves_a_step_without_an_end_and_the_next_begins_another() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.next(Happened::Fetched(Player::item("c", "hello")));
    player.asks();
    let stored = player.turn.trace().to_store();
    let (state, words) = player.turn.to_store();
    player.turn = Turn::restore(StoredTurn {
        id: TurnId(1),
        account: AccountName::new("acme"),
        conversation_id: ConversationId::parse("c").unwrap(),
        received_at: at(0).at,
        deadline_at: at(60).at,
        messages: player.turn.messages().to_vec(),
        began: 1,
        state: Some(state),
        words: Some(words),
        retried: false,
        overdue: false,
        trace: Some(stored),
        end: None,
    })
    .unwrap();
    player.next(Happened::Claimed);
    player.asks();
    player.answer("hi");
    let steps = player.steps();
    let asked: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["what"] == "asked")
        .collect();
    assert_eq!(asked[0].get("answer"), None, "nobody heard");
    assert_eq!(
        (&asked[1]["attempt"], asked[1]["answer"].is_object()),
        (&json!(2), true)
    );
}

#[test]
fn a_handoff_tells_the_facts_by_which_it_was_decided() {
    let mut player = Player::new();
    player.next(Happened::Claimed);
    player.next(Happened::Fetched(Player::item(
        "c",
        "talk to a human please",
    )));
    let steps = player.steps();
    let decided = steps.as_array().unwrap().last().unwrap();
    assert_eq!(decided["what"], "decided");
    assert_eq!(decided["reason"], HandoffReason::CustomerRequested.as_str());
    assert_eq!(
        (&decided["messages"], &decided["same_text"]),
        (&json!(1), &json!(1))
    );
    let late = |happened| {
        let mut player = Player::new();
        player.next(Happened::Claimed);
        player.next(happened);
        player.trace_words()
    };
    assert_eq!(
        late(Happened::TooLate),
        ["claimed", "too_late", "decided deadline"]
    );
    let passed = ["claimed", "deadline_passed", "decided deadline"];
    assert_eq!(late(Happened::DeadlinePassed), passed);
}
