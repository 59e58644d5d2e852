//! Whose a conversation is, in tables: what was told, in which order, and what
//! follows from it.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::clock::{Moment, later};
use crate::id::{ConversationId, ItemId, ThreadId};
use crate::outcome::SkipReason;

fn bot() -> Bot {
    Bot {
        ai_inbox_id: InboxId::parse("ai").unwrap(),
        agent_id: AgentId::parse("bot").unwrap(),
    }
}

fn at(seconds: u64) -> Moment {
    Moment {
        clock: 1,
        at: later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds)),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as events bring it")]
fn gladly(seconds: u64) -> Option<Timestamp> {
    Some(at(seconds).at)
}

fn conversation() -> ConversationId {
    ConversationId::parse("c").unwrap()
}

fn holder(inbox: &str, agent: Option<&str>) -> Holder {
    Holder {
        inbox_id: Named::This(InboxId::parse(inbox).unwrap()),
        agent_id: agent.map_or(Named::Nobody, |id| Named::This(AgentId::parse(id).unwrap())),
    }
}

fn ai() -> Holder {
    holder("ai", None)
}

fn ada() -> Holder {
    holder("ai", Some("ada"))
}

fn look(facts: &Facts, holder: Holder, status: Status, seconds: u64) -> Look {
    Look {
        base: facts.revision(),
        holder,
        status,
        at: at(seconds),
    }
}

/// Facts after a message whose event names this holder, and since when.
fn after_message(context: Option<&Holder>) -> (Facts, u64) {
    let mut facts = Facts::default();
    let since = facts.hear_message(&bot(), context, gladly(10), at(10));
    (facts, since)
}

#[test]
fn a_look_says_whose_it_is_while_it_is_fresh() {
    let unreadable = |inbox_id, agent_id| Holder { inbox_id, agent_id };
    let in_ai = Named::This(bot().ai_inbox_id);
    let others = Whose::Others;
    let cases = [
        (ai(), Status::Open, Whose::Bots),
        (holder("ai", Some("bot")), Status::Open, Whose::Bots),
        (ada(), Status::Open, others(SkipReason::HumanAssigned)),
        (
            holder("humans", None),
            Status::Open,
            others(SkipReason::NotAiInbox),
        ),
        (
            holder("humans", Some("bot")),
            Status::Open,
            others(SkipReason::NotAiInbox),
        ),
        (ai(), Status::Closed, others(SkipReason::Closed)),
        (
            unreadable(Named::Nobody, Named::Nobody),
            Status::Open,
            others(SkipReason::NotAiInbox),
        ),
        (
            unreadable(Named::Unreadable, Named::Nobody),
            Status::Open,
            others(SkipReason::NotAiInbox),
        ),
        (
            unreadable(in_ai, Named::Unreadable),
            Status::Open,
            others(SkipReason::HumanAssigned),
        ),
    ];
    for (holder, status, expected) in cases {
        let (mut facts, since) = after_message(None);
        assert_eq!(
            facts.whose(&bot(), since, at(10)),
            Whose::Unclear,
            "nobody has said"
        );
        facts.see(&bot(), &look(&facts.clone(), holder.clone(), status, 11));
        assert_eq!(
            facts.whose(&bot(), since, at(12)),
            expected,
            "{holder:?} {status:?}"
        );
    }
}

#[test]
fn what_is_old_or_told_by_another_clock_is_looked_at_again() {
    let (mut facts, since) = after_message(None);
    facts.see(&bot(), &look(&facts.clone(), ai(), Status::Open, 11));
    let elsewhere = Moment { clock: 2, ..at(12) };
    let cases = [
        (at(26), Whose::Bots, "15 s old"),
        (at(27), Whose::Unclear, "16 s old"),
        (elsewhere, Whose::Unclear, "another clock"),
        (at(5), Whose::Unclear, "from the future"),
    ];
    for (now, expected, what) in cases {
        assert_eq!(facts.whose(&bot(), since, now), expected, "{what}");
    }
}

#[test]
fn a_messages_own_word_licenses_the_bot_but_never_silences_it() {
    for (context, expected) in [
        (Some(ai()), Whose::Bots),
        (Some(holder("ai", Some("bot"))), Whose::Bots),
        (Some(ada()), Whose::Unclear),
        (Some(holder("humans", None)), Whose::Unclear),
        (None, Whose::Unclear),
    ] {
        let (facts, since) = after_message(context.as_ref());
        assert_eq!(facts.whose(&bot(), since, at(10)), expected, "{context:?}");
    }
}

#[test]
fn what_was_told_before_a_message_cannot_silence_it() {
    let mut facts = Facts::default();
    facts.hear_holder(&bot(), Some(&ada()), gladly(1), at(1));
    let since = facts.hear_message(&bot(), None, gladly(2), at(2));
    assert_eq!(facts.whose(&bot(), since, at(2)), Whose::Unclear);
    facts.hear_status(Status::Closed, gladly(3), at(3));
    facts.see(&bot(), &look(&facts.clone(), ai(), Status::Closed, 3));
    let since = facts.hear_message(&bot(), Some(&ai()), gladly(4), at(4));
    assert_eq!(
        facts.whose(&bot(), since, at(4)),
        Whose::Unclear,
        "who writes may open it"
    );
}

#[test]
fn an_event_about_the_holder_silences_the_bot_at_once() {
    let (mut facts, since) = after_message(Some(&ai()));
    facts.hear_holder(&bot(), Some(&ada()), gladly(11), at(11));
    let expected = Whose::Others(SkipReason::HumanAssigned);
    assert_eq!(facts.whose(&bot(), since, at(11)), expected);
    facts.hear_holder(&bot(), Some(&ai()), gladly(12), at(12));
    assert_eq!(
        facts.whose(&bot(), since, at(12)),
        Whose::Bots,
        "given back"
    );
}

#[test]
fn where_two_tellings_contradict_each_other_only_a_look_can_tell() {
    type Tell = fn(&mut Facts);
    let cases: [(&str, Tell); 7] = [
        (
            "an event after a merge that a look did not know of",
            |facts| {
                let made = look(facts, ai(), Status::Closed, 11);
                facts.merge(&Facts::default());
                facts.see(&bot(), &made);
                facts.hear_holder(&bot(), Some(&ai()), gladly(12), at(12));
            },
        ),
        ("an event against a look that said otherwise", |facts| {
            facts.see(&bot(), &look(&facts.clone(), ada(), Status::Open, 11));
            facts.hear_holder(&bot(), Some(&ai()), gladly(12), at(12));
        }),
        ("a message against a look that said otherwise", |facts| {
            facts.see(&bot(), &look(&facts.clone(), ada(), Status::Open, 11));
            facts.hear_message(&bot(), Some(&ai()), gladly(12), at(12));
        }),
        ("a message against the bot's own handoff", |facts| {
            facts.moved(InboxId::parse("humans").unwrap(), facts.revision(), at(11));
            facts.hear_message(&bot(), Some(&ai()), gladly(12), at(12));
        }),
        ("events out of order", |facts| {
            facts.hear_holder(&bot(), Some(&ada()), gladly(12), at(11));
            facts.hear_holder(&bot(), Some(&ai()), gladly(11), at(12));
        }),
        ("an event that does not say who", |facts| {
            facts.see(&bot(), &look(&facts.clone(), ai(), Status::Open, 11));
            facts.hear_holder(&bot(), None, gladly(12), at(12));
        }),
        ("a look against what was told while it was made", |facts| {
            let made = look(facts, ada(), Status::Open, 11);
            facts.hear_holder(&bot(), Some(&ai()), gladly(12), at(12));
            facts.see(&bot(), &made);
        }),
    ];
    for (what, tell) in cases {
        let (mut facts, since) = after_message(Some(&ai()));
        tell(&mut facts);
        assert_eq!(facts.whose(&bot(), since, at(12)), Whose::Unclear, "{what}");
        facts.see(&bot(), &look(&facts.clone(), ai(), Status::Open, 13));
        assert_eq!(
            facts.whose(&bot(), facts.revision(), at(13)),
            Whose::Bots,
            "{what}"
        );
    }
}

#[test]
fn two_events_of_one_millisecond_that_disagree_are_looked_at() {
    for (first, second) in [(ai(), ada()), (ada(), ai())] {
        let (mut facts, since) = after_message(None);
        facts.hear_holder(&bot(), Some(&first), gladly(2), at(2));
        facts.hear_holder(&bot(), Some(&second), gladly(2), at(3));
        assert_eq!(facts.whose(&bot(), since, at(3)), Whose::Unclear);
    }
    for (first, second) in [
        (Status::Open, Status::Closed),
        (Status::Closed, Status::Open),
    ] {
        let (mut facts, since) = after_message(Some(&ai()));
        facts.hear_status(first, gladly(2), at(2));
        facts.hear_status(second, gladly(2), at(3));
        assert_eq!(facts.whose(&bot(), since, at(3)), Whose::Unclear);
    }
}

#[test]
fn what_is_given_back_while_the_relays_move_is_under_way_is_looked_at() {
    let (mut facts, _) = after_message(Some(&ai()));
    let seen = look(&facts, ai(), Status::Open, 2);
    facts.see(&bot(), &seen);
    let base = facts.revision();
    facts.hear_holder(&bot(), Some(&ai()), gladly(4), at(3));
    let next = facts.hear_message(&bot(), Some(&ai()), gladly(5), at(3));
    facts.moved(InboxId::parse("humans").unwrap(), base, at(4));
    assert_eq!(facts.whose(&bot(), next, at(4)), Whose::Unclear);
    assert_eq!(facts.whose(&bot(), 0, at(4)), Whose::Unclear);
}

#[test]
fn a_takeover_told_of_while_a_look_is_made_is_newer_whatever_the_clocks_say() {
    for told_at in [1, 11, 3_600] {
        let (mut facts, since) = after_message(Some(&ai()));
        let made = look(&facts, ai(), Status::Open, 11);
        facts.hear_holder(&bot(), Some(&ada()), gladly(told_at), at(12));
        facts.see(&bot(), &made);
        let expected = Whose::Others(SkipReason::HumanAssigned);
        assert_eq!(facts.whose(&bot(), since, at(12)), expected, "{told_at}");
    }
}

#[test]
fn a_status_counts_if_it_changed_after_the_message() {
    let heard_of = [
        (Status::Closed, 11, Whose::Others(SkipReason::Closed)),
        (Status::Unclear, 11, Whose::Unclear),
        (Status::Open, 11, Whose::Bots),
    ];
    for (status, happened, expected) in heard_of {
        let (mut facts, since) = after_message(Some(&ai()));
        facts.hear_status(status, gladly(happened), at(11));
        assert_eq!(facts.whose(&bot(), since, at(11)), expected, "{status:?}");
    }
    let mut facts = Facts::default();
    facts.hear_status(Status::Unclear, gladly(9), at(9));
    let since = facts.hear_message(&bot(), Some(&ai()), gladly(10), at(10));
    assert_eq!(
        facts.whose(&bot(), since, at(10)),
        Whose::Bots,
        "changed before it"
    );
    let mut facts = Facts::default();
    facts.hear_status(Status::Closed, gladly(11), at(9));
    let since = facts.hear_message(&bot(), Some(&ai()), gladly(10), at(10));
    assert_eq!(
        facts.whose(&bot(), since, at(10)),
        Whose::Unclear,
        "heard of out of order"
    );
}

#[test]
fn after_the_relays_own_handoff_the_reason_says_so() {
    let (mut facts, since) = after_message(Some(&ai()));
    facts.moved(InboxId::parse("humans").unwrap(), since, at(11));
    let handed_off = Whose::Others(SkipReason::HandedOff);
    assert_eq!(facts.whose(&bot(), since, at(11)), handed_off);
    facts.see(&bot(), &look(&facts.clone(), ai(), Status::Open, 12));
    facts.hear_holder(&bot(), Some(&holder("humans", None)), gladly(13), at(13));
    let moved = Whose::Others(SkipReason::NotAiInbox);
    assert_eq!(
        facts.whose(&bot(), since, at(13)),
        moved,
        "it was back in between"
    );
}

#[test]
fn a_conversation_comes_to_the_bot_if_it_was_not_its_before() {
    let hear = |facts: &mut Facts, holder: Option<&Holder>, seconds| {
        facts.hear_holder(&bot(), holder, gladly(seconds), at(seconds))
    };
    let mut facts = Facts::default();
    assert!(hear(&mut facts, Some(&ai()), 1), "nothing was known");
    assert!(
        !hear(&mut facts, Some(&holder("ai", Some("bot"))), 2),
        "it was the bot's"
    );
    assert!(!hear(&mut facts, Some(&ada()), 3));
    assert!(
        hear(&mut facts, Some(&ai()), 2),
        "an older one may be true: look"
    );
    assert!(hear(&mut facts, None, 4), "nobody can tell, so look");
}

#[test]
fn a_clearance_is_made_of_fresh_facts_and_grows_old() {
    let (mut facts, since) = after_message(None);
    let clear = |facts: &Facts, seconds| facts.clear(&conversation(), &bot(), since, at(seconds));
    assert_eq!(clear(&facts, 10).map(drop), Err(Whose::Unclear));
    facts.see(&bot(), &look(&facts.clone(), ai(), Status::Open, 11));
    assert_eq!(clear(&facts, 11).unwrap().spend(at(12)), Ok(conversation()));
    assert_eq!(
        clear(&facts, 11).unwrap().spend(at(27)),
        Err(Stale),
        "it waited for too long"
    );
    assert_eq!(clear(&facts, 27).map(drop), Err(Whose::Unclear));
    facts.hear_holder(&bot(), Some(&ada()), gladly(12), at(12));
    let expected = Err(Whose::Others(SkipReason::HumanAssigned));
    assert_eq!(clear(&facts, 12).map(drop), expected);
}

#[test]
fn unseen_a_conversation_is_moved_only_if_nothing_speaks_against_it() {
    let clears = |facts: &Facts| {
        let clearance = facts.clear_move_unseen(&conversation(), &bot(), at(3_600));
        clearance.is_some()
    };
    assert!(!clears(&Facts::default()), "nothing is known");
    let (mut facts, _) = after_message(Some(&ai()));
    assert!(clears(&facts), "however long ago");
    facts.hear_holder(&bot(), Some(&ada()), gladly(11), at(11));
    assert!(!clears(&facts));
    facts.hear_holder(&bot(), Some(&ai()), gladly(12), at(12));
    facts.hear_status(Status::Closed, gladly(13), at(13));
    assert!(!clears(&facts), "it is closed");
}

#[test]
fn a_thread_lives_until_the_conversation_is_closed_whatever_is_heard_of_first() {
    let written = |heard, seconds| Written {
        heard,
        happened_at: gladly(seconds),
    };
    let closing = |heard, seconds: Option<u64>| Closing {
        heard,
        happened_at: seconds.and_then(gladly),
    };
    let cases = [
        (closing(5, Some(20)), true, "closed after the message"),
        (
            closing(5, Some(5)),
            false,
            "told late of an earlier closing",
        ),
        (closing(5, None), true, "a look after the message"),
        (closing(2, None), false, "a look before the message"),
    ];
    for (closing, ended, what) in cases {
        let (mut known, mut other) = (Known::default(), Known::default());
        known.keep_thread(ThreadId("t".to_owned()), written(3, 10));
        known.close(closing);
        assert_eq!(known.thread_id().is_none(), ended, "{what}");
        other.close(closing);
        other.keep_thread(ThreadId("t".to_owned()), written(3, 10));
        assert_eq!(other.thread_id().is_none(), ended, "{what}, heard of first");
    }
}

#[test]
fn replies_are_counted_by_the_hour_and_by_the_opening() {
    let mut known = Known::default();
    for minute in [0, 0, 30, 59, 60] {
        known.count_reply(at(minute * 60).at);
    }
    assert_eq!(
        (known.replies(), known.replies_last_hour(at(60 * 60).at)),
        (5, 3)
    );
    known.close(Closing {
        heard: 1,
        happened_at: None,
    });
    assert_eq!(
        (known.replies(), known.replies_last_hour(at(60 * 60).at)),
        (0, 3)
    );
}

#[test]
fn what_was_known_of_both_is_known_after_a_merge() {
    let item = |id| ItemId::parse(id).unwrap();
    let (mut left, mut gone) = (Known::default(), Known::default());
    left.facts.hear_message(&bot(), Some(&ai()), None, at(1));
    gone.settle([item("answered")]);
    gone.keep_thread(
        ThreadId("t".to_owned()),
        Written {
            heard: 1,
            happened_at: None,
        },
    );
    left.merge(gone);
    assert!(left.is_settled(&item("answered")) && left.thread_id().is_some());
    let since = left.facts.revision();
    assert_eq!(
        left.facts.whose(&bot(), since, at(1)),
        Whose::Unclear,
        "look"
    );
}

#[test]
fn a_late_note_goes_only_where_the_move_brought_the_conversation() {
    let humans = InboxId::parse("humans").unwrap();
    let cases = [
        (holder("humans", None), Status::Open, true),
        (holder("humans", Some("ada")), Status::Open, true),
        (holder("humans", None), Status::Closed, false),
        (holder("humans", None), Status::Unclear, false),
        (ai(), Status::Open, false),
        (holder("elsewhere", None), Status::Open, false),
    ];
    for (holder, status, cleared) in cases {
        let look = look(&Facts::default(), holder, status, 10);
        let clearance = Facts::clear_note_later(&conversation(), &humans, &look);
        assert_eq!(clearance.is_some(), cleared, "{look:?}");
        if let Some(clearance) = clearance {
            assert!(clearance.spend(at(26)).is_err(), "as old as the look");
        }
    }
}
