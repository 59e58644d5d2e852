use super::*;

fn ask(precedence: Precedence, deadline: Instant) -> Ask {
    Ask::one(precedence, deadline)
}

/// Everybody, in the order of being served.
fn order(queue: &mut Queue<&'static str>) -> Vec<&'static str> {
    std::iter::from_fn(|| queue.first().and_then(|(key, _)| queue.serve(key))).collect()
}

#[test]
fn within_an_account_rank_goes_before_deadline() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let later = now + Duration::from_secs(9);
    let member = queue.join();
    queue.push(member, ask(Precedence::Later, now), "a note");
    queue.push(member, ask(Precedence::Fetch, later), "the late fetch");
    queue.push(member, ask(Precedence::Fetch, now), "the near fetch");
    queue.push(member, ask(Precedence::Settle, later), "a handoff");
    queue.push(member, ask(Precedence::Reply, later), "a reply");
    queue.push(member, ask(Precedence::Urgent, later), "an urgent handoff");
    let expected = [
        "an urgent handoff",
        "a reply",
        "a handoff",
        "the near fetch",
        "the late fetch",
        "a note",
    ];
    assert_eq!(order(&mut queue), expected);
}

#[test]
fn accounts_take_turns_whatever_their_backlog() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let (busy, quiet) = (queue.join(), queue.join());
    for _ in 0..3 {
        queue.push(busy, ask(Precedence::Urgent, now), "busy");
    }
    queue.push(quiet, ask(Precedence::Fetch, now), "quiet");
    queue.push(busy, ask(Precedence::Later, now), "busy's note");
    queue.push(quiet, ask(Precedence::Later, now), "quiet's note");
    let order = order(&mut queue);
    assert_eq!(order[..4], ["busy", "quiet", "busy", "busy"]);
    assert!(order[4..].iter().all(|who| who.ends_with("note")));
}

#[test]
fn what_is_urgent_is_found_behind_another_accounts_turn() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let (waits, hurries) = (queue.join(), queue.join());
    let fetch = queue.push(waits, ask(Precedence::Fetch, now), "a fetch");
    assert!(queue.first_urgent().is_none());
    let urgent = queue.push(hurries, ask(Precedence::Urgent, now), "urgent");
    assert_eq!(queue.first().unwrap().0, fetch);
    assert_eq!(queue.first_urgent().unwrap().0, urgent);
}

#[test]
fn who_is_late_waits_for_those_in_time_of_every_account_but_for_a_share() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let (flooded, other) = (queue.join(), queue.join());
    for _ in 0..20 {
        queue.push(flooded, ask(Precedence::Late, now), "late");
    }
    for _ in 0..4 {
        queue.push(flooded, ask(Precedence::Fetch, now), "in time");
        queue.push(other, ask(Precedence::Fetch, now), "in time");
    }
    queue.push(other, ask(Precedence::Later, now), "a note");
    let order = order(&mut queue);
    let late = |order: &[&str]| order.iter().filter(|who| **who == "late").count();
    assert_eq!(late(&order[..10]), 2, "{order:?}");
    assert_eq!(order.last(), Some(&"a note"));
}

#[test]
fn late_calls_keep_nobody_from_an_answer_and_are_a_backlog() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let member = queue.join();
    let second = Duration::from_secs(1);
    for _ in 0..50 {
        queue.push(member, ask(Precedence::Late, now), "late");
    }
    let effort = Effort {
        calls: 3,
        by: now + second,
    };
    let fetch = Ask {
        effort: Some(effort),
        ..ask(Precedence::Fetch, now + second)
    };
    queue.push(member, fetch, "in time");
    assert!(queue.too_late(now, 10.0).is_empty());
    assert!(queue.takes(member, 10.0) > 5 * second);
    queue.clear();
    assert_eq!(queue.takes(member, 10.0), Duration::ZERO);
}

#[test]
fn a_single_call_goes_before_several_that_have_no_room_and_only_once() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let member = queue.join();
    let pair = Ask {
        calls: 2,
        ..ask(Precedence::Reply, now)
    };
    let first = queue.push(member, pair, "a reply and its look");
    queue.push(member, pair, "the next");
    assert_eq!(queue.filler(first), None);
    let single = queue.push(member, ask(Precedence::Fetch, now), "a fetch");
    queue.push(member, ask(Precedence::Fetch, now), "another fetch");
    assert_eq!(queue.filler(first), Some(single));
    queue.overtake(first);
    queue.serve(single);
    assert_eq!(queue.filler(first), None);
    queue.serve(first);
    let next = queue.first().unwrap().0;
    assert!(queue.filler(next).is_some());
}

#[test]
fn whoever_leaves_is_not_served_and_costs_nothing() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let member = queue.join();
    let effort = Effort { calls: 3, by: now };
    let ask = Ask {
        effort: Some(effort),
        ..ask(Precedence::Fetch, now)
    };
    queue.owe(member, 0, 1);
    let key = queue.push(member, ask, "who");
    assert_eq!(queue.too_late(now, 10.0), [key]);
    queue.owe(member, 1, 0);
    assert_eq!(queue.leave(key), Some("who"));
    assert!(queue.first().is_none());
    assert_eq!(queue.takes(member, 10.0), Duration::ZERO);
}
