//! What a sweep found, and how far it came.

use super::*;

cases! {
    what_was_swept_is_remembered_for_each_account,
    what_a_sweep_found_too_late_stays_so,
    what_a_sweep_tells_licenses_nothing_and_takes_up_what_waits,
}

async fn what_was_swept_is_remembered_for_each_account(bench: &mut Bench) {
    let store = bench.store();
    assert_eq!(store.swept_until(&account()).await.unwrap(), None);
    // Set right, it may lie before.
    for second in [20, 10] {
        let (account, until) = (account(), at(second));
        store.swept(Swept { account, until }).await.unwrap();
    }
    bench.restart().await;
    let store = bench.store();
    let until = store.swept_until(&account()).await.unwrap();
    assert_eq!(until, Some(at(10)));
    let other = AccountName::new("other");
    assert_eq!(store.swept_until(&other).await.unwrap(), None);
}

fn found(overdue: bool, delivery: Delivery) -> Delivery {
    let source = Source::Sweep { overdue };
    Delivery { source, ..delivery }
}

async fn what_a_sweep_found_too_late_stays_so(bench: &mut Bench) {
    let store = bench.store();
    let arrival = |event, conversation| {
        delivery(event, 2, Change::Holder(id(conversation), Some(the_bots())))
    };
    let told = [
        (message("e1", "late", "i1", 1), true),
        (message("e2", "in-time", "i2", 1), false),
        (arrival("e3", "came-late"), true),
        (arrival("e4", "in-time"), true),
    ];
    for (delivery, overdue) in told {
        store.record(found(overdue, delivery)).await.unwrap();
    }
    for runner in 1..3 {
        let store = bench.store();
        let claimed = store.claim(claim(runner, 9, 10)).await.unwrap();
        let mut turns: Vec<_> = claimed
            .turns
            .iter()
            .map(|(turn, _)| (turn.conversation_id.as_str(), turn.overdue))
            .collect();
        turns.sort_unstable();
        let expected = [("came-late", true), ("in-time", false), ("late", true)];
        assert_eq!(turns, expected);
        bench.restart().await;
    }
}

async fn what_a_sweep_tells_licenses_nothing_and_takes_up_what_waits(bench: &mut Bench) {
    let store = bench.store();
    let context = Change::Message {
        conversation_id: id("c"),
        item_id: item("i1"),
        context: Some(the_bots()),
    };
    let told = [
        delivery("e1", 1, context),
        delivery("e2", 1, Change::Holder(id("d"), Some(the_bots()))),
        delivery("e3", 1, Change::Holder(id("e"), Some(human()))),
    ];
    for delivery in told {
        store.record(found(false, delivery)).await.unwrap();
    }
    let claimed = store.claim(claim(1, 2, 10)).await.unwrap();
    assert_eq!(claimed.turns.len(), 2, "a human's is nothing to take up");
    for (turn, standing) in claimed.turns {
        let facts = standing.known.facts;
        let whose = facts.whose(&bot(), turn.began, moment(2));
        assert_eq!(whose, Whose::Unclear, "{}", turn.conversation_id);
    }
}
