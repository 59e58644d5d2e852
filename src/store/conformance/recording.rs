//! Journaling webhooks: once each, and refused where nobody can tell.

use super::*;

cases! {
    a_message_is_taken_once_however_often_it_is_delivered,
    what_is_forgotten_is_refused,
    what_came_while_the_clock_was_behind_is_remembered_as_long_as_the_rest,
}

async fn a_message_is_taken_once_however_often_it_is_delivered(bench: &mut Bench) {
    let store = bench.store();
    let first = message("e1", "c", "i1", 0);
    assert_eq!(
        store.record(first.clone()).await.unwrap(),
        Recorded::Accepted
    );
    assert_eq!(store.record(first).await.unwrap(), Recorded::Duplicate);
    let other_event = message("e2", "c", "i1", 1);
    assert_eq!(
        store.record(other_event).await.unwrap(),
        Recorded::Duplicate
    );
    let claimed = store.claim(claim(1, 9, 10)).await.unwrap();
    assert_eq!(claimed.turns.len(), 1);
    assert_eq!(claimed.turns[0].0.messages.len(), 1);
}

async fn what_is_forgotten_is_refused(bench: &mut Bench) {
    bench.record(message("e1", "c", "i1", 10)).await;
    bench.record(message("e2", "d", "i2", 20)).await;
    bench.store().purge(at(15)).await.unwrap();
    bench.restart().await;
    let store = bench.store();
    let late = |event, item, raised_at| Delivery {
        raised_at,
        ..message(event, "x", item, 30)
    };
    let mut told = Vec::new();
    for delivery in [
        late("e1", "i1", Some(at(10))),
        late("e3", "i3", Some(at(9))),
        late("e4", "i4", Some(at(11))),
        late("e2", "i2", Some(at(20))),
        late("e5", "i5", None),
    ] {
        told.push(store.record(delivery).await.unwrap());
    }
    let expected = [
        Recorded::TooOld,
        Recorded::TooOld,
        Recorded::Accepted,
        Recorded::Duplicate,
        Recorded::Accepted,
    ];
    assert_eq!(told, expected);
}

async fn what_came_while_the_clock_was_behind_is_remembered_as_long_as_the_rest(bench: &mut Bench) {
    let raised_at = |second| Some(at(second));
    let behind = Delivery {
        raised_at: raised_at(1_000),
        ..message("e1", "c", "i1", 10)
    };
    let far_ahead = Delivery {
        raised_at: raised_at(900_000),
        ..message("e2", "c", "i2", 10)
    };
    let store = bench.store();
    store.record(behind.clone()).await.unwrap();
    store.record(far_ahead).await.unwrap();
    store.purge(at(1_000)).await.unwrap();
    let told = store.record(behind.clone()).await.unwrap();
    assert_eq!(told, Recorded::Duplicate, "the clock has been set right");
    store.purge(at(1_001)).await.unwrap();
    let told = store.record(behind).await.unwrap();
    assert_eq!(told, Recorded::TooOld);
    let next = message("e3", "c", "i3", 1_002);
    let told = store.record(next).await.unwrap();
    assert_eq!(told, Recorded::Accepted, "the one far ahead refuses nobody");
}
