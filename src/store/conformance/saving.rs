//! A turn's progress, and what it learns.

use super::*;

cases! {
    progress_is_there_after_a_restart,
    nothing_is_kept_of_a_forgotten_turn,
    nobody_else_saves_a_turn,
    what_is_known_is_kept,
    an_event_during_a_look_wins,
}

async fn progress_is_there_after_a_restart(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    bench
        .store()
        .save(save(&turn, 1, 2, vec![], running("first")))
        .await
        .unwrap();
    bench
        .store()
        .save(save(&turn, 1, 3, vec![], running("second")))
        .await
        .unwrap();
    bench.restart().await;
    let again = bench.claim_one(2, 4).await;
    assert_eq!(again.id, turn.id);
    assert_eq!(again.state.as_deref(), Some("second"));
    assert_eq!(again.words.as_deref(), Some("words of second"));
    assert_eq!(
        (again.messages, again.began),
        (turn.messages.clone(), turn.began)
    );
    let refused = bench
        .store()
        .save(save(&turn, 1, 5, vec![], running("third")))
        .await;
    assert!(
        matches!(refused, Err(StoreError::NotRunning)),
        "the earlier start"
    );
    bench
        .store()
        .save(save(&turn, 2, 5, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    bench.restart().await;
    let claimed = bench.store().claim(claim(3, 9, 10)).await.unwrap();
    assert_eq!((claimed.turns.len(), claimed.next_due_at), (0, None));
}

async fn nothing_is_kept_of_a_forgotten_turn(bench: &mut Bench) {
    let arrival = delivery("e1", 0, Change::Holder(id("c"), Some(the_bots())));
    bench.store().record(arrival).await.unwrap();
    let turn = bench.claim_one(1, 1).await;
    let store = bench.store();
    store
        .save(save(&turn, 1, 2, vec![], Progress::Forgotten))
        .await
        .unwrap();
    let refused = store.save(save(&turn, 1, 3, vec![], running("s"))).await;
    assert!(matches!(refused, Err(StoreError::NotRunning)));
    assert_eq!(store.backlog(at(4)).await.unwrap(), []);
    store.record(message("e2", "c", "i1", 5)).await.unwrap();
    assert!(bench.claim_one(1, 6).await.id > turn.id);
}

async fn nobody_else_saves_a_turn(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    let store = bench.store();
    let mut unknown = turn.clone();
    unknown.id.0 += 1;
    for refused in [
        save(
            &turn,
            2,
            2,
            vec![Learnt::Wrote(item("x"))],
            ended(Outcome::Replied),
        ),
        save(&unknown, 1, 2, vec![], ended(Outcome::Replied)),
    ] {
        let refused = store.save(refused).await;
        assert!(matches!(refused, Err(StoreError::NotRunning)));
    }
    let standing = store
        .save(save(&turn, 1, 3, vec![], running("s")))
        .await
        .unwrap();
    assert_eq!(standing.known.own_items(), [], "nothing of it was kept");
    store
        .save(save(&turn, 1, 4, vec![], ended(Outcome::Replied)))
        .await
        .unwrap();
    let refused = store.save(save(&turn, 1, 5, vec![], running("s"))).await;
    assert!(matches!(refused, Err(StoreError::NotRunning)), "it ended");
}

async fn what_is_known_is_kept(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    let repetition = Repetition {
        digest: Some("d".to_owned()),
        count: 2,
        item_id: None,
    };
    let learnt = vec![
        Learnt::Looked(look(turn.began, the_bots(), 1)),
        Learnt::Thread(ThreadId("t".to_owned()), turn.messages[0].written),
        Learnt::Read {
            repetition: repetition.clone(),
            locale: Some("de".to_owned()),
        },
        Learnt::Wrote(item("own")),
        Learnt::Settled(vec![item("i1")]),
    ];
    let told = bench
        .store()
        .save(save(&turn, 1, 2, learnt, running("s")))
        .await
        .unwrap();
    assert_eq!(
        told.known.facts.whose(&bot(), turn.began, moment(2)),
        Whose::Bots
    );
    bench.restart().await;
    let claimed = bench.store().claim(claim(2, 3, 10)).await.unwrap();
    assert_eq!(claimed.turns[0].1, told);
    let known = &told.known;
    assert_eq!(known.thread_id(), Some(&ThreadId("t".to_owned())));
    assert_eq!(
        (&known.repetition, known.locale.as_deref()),
        (&repetition, Some("de"))
    );
    assert!(known.is_settled(&item("i1")));
    let moved = vec![Learnt::Moved(InboxId::parse("humans").unwrap(), u64::MAX)];
    let outcome = Outcome::HandedOff(HandoffReason::Deadline);
    let told = bench
        .store()
        .save(save(&turn, 2, 4, moved, ended(outcome)))
        .await
        .unwrap();
    assert_eq!(
        told.known.facts.whose(&bot(), turn.began, moment(5)),
        Whose::Others(SkipReason::HandedOff)
    );
}

async fn an_event_during_a_look_wins(bench: &mut Bench) {
    let turn = bench.begin_one().await;
    let store = bench.store();
    let taken = delivery("e2", 2, Change::Holder(id("c"), Some(human())));
    store.record(taken).await.unwrap();
    let learnt = vec![Learnt::Looked(look(turn.began, the_bots(), 1))];
    let standing = store
        .save(save(&turn, 1, 3, learnt, running("s")))
        .await
        .unwrap();
    assert_eq!(
        standing.known.facts.whose(&bot(), turn.began, moment(3)),
        Whose::Others(SkipReason::HumanAssigned)
    );
    let closed = delivery("e3", 4, Change::Status(id("c"), Status::Closed));
    store.record(closed).await.unwrap();
    let standing = store
        .save(save(&turn, 1, 5, vec![], running("s")))
        .await
        .unwrap();
    assert_eq!(standing.known.facts.status(), Some(Status::Closed));
}
