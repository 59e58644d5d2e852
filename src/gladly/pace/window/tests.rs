//! When calls go, and what is learnt, in tables.

use super::learn::{FIRST_STOP, GROWS_BY, LONGEST_STOP, SHORTEST_SPAN};
use super::*;

/// A window that knows what went before.
fn begun(limit: u32) -> Window {
    let mut window = Window::new(limit);
    window.start = Start::Known;
    window
}

/// Asks for groups of calls as fast as it may for `span`, and returns when
/// each call went.
fn greedy(window: &mut Window, calls: u32, start: Instant, span: Duration) -> Vec<Instant> {
    let (mut now, mut sent) = (start, Vec::new());
    while now < start + span {
        match window.admit(calls, now) {
            Ok(slots) => sent.extend(slots.iter().map(|slot| slot.at)),
            Err(next) => now = next,
        }
    }
    sent.sort_unstable();
    sent
}

fn most_in_a_second(sent: &[Instant]) -> usize {
    let within = |(index, first): (usize, &Instant)| {
        let later = sent[index..].iter();
        later.take_while(|at| **at - *first < SECOND).count()
    };
    sent.iter().enumerate().map(within).max().unwrap()
}

#[test]
fn no_second_ever_holds_more_than_the_limit_and_hardly_less() {
    for limit in [2, 10, 37, 1000] {
        for calls in [1, 2] {
            let start = Instant::now();
            let mut window = begun(limit);
            for _ in 0..200 * limit {
                window.observe(None, None, start, start);
            }
            let sent = greedy(&mut window, calls, start, Duration::from_secs(20));
            let most = most_in_a_second(&sent);
            assert!(
                most <= limit as usize,
                "{most} calls in a second of {limit}"
            );
            let used = sent.len() * 100 / (20 * limit as usize);
            assert!(used >= 97, "the rate is used: {used} %");
        }
    }
}

#[test]
fn what_belongs_together_is_admitted_together_or_not_at_all() {
    let (mut window, start) = (begun(3), Instant::now());
    assert_eq!(window.admit(2, start).unwrap().len(), 2);
    let next = window.admit(2, start).unwrap_err();
    assert!(next > start);
    assert_eq!(window.admit(1, start).unwrap().len(), 1);
    let slots = window.admit(2, start + 2 * SECOND).unwrap();
    assert_eq!(slots[1].at, slots[0].at, "nobody knows how long it takes");
    let all = window.admit(9, start + 4 * SECOND).unwrap();
    assert_eq!(all.len(), 3, "more than the limit never fit");
}

#[test]
fn a_call_that_is_not_made_leaves_its_room_to_others() {
    let (mut window, start) = (begun(2), Instant::now());
    let slots = window.admit(2, start).unwrap();
    assert!(window.admit(1, start).is_err());
    window.give_back(slots[1]);
    assert!(window.admit(1, start).is_ok());
}

#[test]
fn a_call_counts_from_when_it_goes() {
    let (mut window, start) = (begun(2), Instant::now());
    let slots = window.admit(2, start).unwrap();
    let late = start + Duration::from_millis(300);
    window.spend(slots[1], late);
    let next = start + FIRST_SPAN;
    assert!(window.admit(1, next).is_ok());
    assert_eq!(window.admit(1, next), Err(late + FIRST_SPAN));
    let slots = window.admit(2, start + 4 * SECOND).unwrap();
    let follows = slots[1].at - slots[0].at;
    assert_eq!(follows, late - start, "and the next are expected so");
}

#[test]
fn after_a_start_the_first_answer_tells_what_was_used_before() {
    let (mut window, start) = (Window::new(10), Instant::now());
    assert!(window.admit(1, start).is_ok());
    assert_eq!(window.admit(1, start), Err(start + SECOND), "one asks");
    window.observe(Some(10), Some(3), start, start);
    for _ in 0..3 {
        assert!(window.admit(1, start).is_ok());
    }
    assert_eq!(window.admit(1, start), Err(start + FIRST_SPAN));
}

#[test]
fn after_a_start_an_answer_that_tells_nothing_holds_nobody_up() {
    let (mut window, start) = (Window::new(10), Instant::now());
    assert!(window.admit(1, start).is_ok());
    window.observe(None, None, start, start);
    assert!(window.admit(1, start).is_ok());
}

#[test]
fn the_span_closes_in_on_a_second_while_nothing_is_refused_and_draws_back() {
    let (mut window, start) = (begun(10), Instant::now());
    greedy(&mut window, 1, start, Duration::from_millis(1));
    for _ in 0..1_000 {
        window.observe(Some(10), Some(0), start, start);
    }
    assert_eq!(window.span, SHORTEST_SPAN);
    window.throttle(None, 0.0, start, start);
    assert_eq!(window.span, SHORTEST_SPAN + GROWS_BY);
    assert_eq!(window.share(), 10, "once may be chance");
}

/// Uses the limit for a second at each of these, and is refused at its end.
fn refused_at(window: &mut Window, start: Instant, seconds: &[u64]) {
    for seconds in seconds {
        let at = start + Duration::from_secs(*seconds);
        greedy(window, 1, at, Duration::from_millis(1));
        window.throttle(None, 0.0, at, at);
    }
}

#[test]
fn refusals_alone_tell_of_others_where_nothing_else_does() {
    let (mut window, start) = (begun(10), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    refused_at(&mut window, start, &[0, 2, 4, 6]);
    assert_eq!(window.share(), 7);
    for seconds in [30, 34] {
        window.observe(None, None, at(seconds), at(seconds));
    }
    assert_eq!(window.share(), 7);
    for seconds in [60, 64] {
        window.observe(None, None, at(seconds), at(seconds));
    }
    assert_eq!(window.share(), 8, "after a while it tries");
}

/// Answers to a full second of calls, each second from here on: so many are left.
fn answered(window: &mut Window, from: Instant, seconds: u64, left: u32) {
    for second in 0..=seconds {
        let at = from + Duration::from_secs(2 * second);
        for _ in greedy(window, 1, at, Duration::from_millis(1)) {
            window.observe(Some(10), Some(left), at, at);
        }
    }
}

#[test]
fn what_is_left_tells_of_others() {
    let (mut window, start) = (begun(10), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    greedy(&mut window, 1, start, Duration::from_millis(1));
    window.observe(Some(10), Some(0), start, start);
    assert_eq!(window.share(), 10);
    // Seven were ours when none was left: three times, and it is believed.
    window.sent.truncate(7);
    window.used_by_others.clear();
    for _ in 0..3 {
        window.observe(Some(10), Some(0), start, start);
    }
    assert_eq!(window.share(), 7);
    answered(&mut window, at(10), 2, 3);
    assert_eq!(window.share(), 8, "something was left all the time");
    answered(&mut window, at(20), 30, 0);
    assert_eq!(window.share(), 8, "nothing is left to try");
}

#[test]
fn a_call_more_that_is_refused_is_tried_later_the_next_time() {
    let (mut window, start) = (begun(10), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    window.others = 3;
    answered(&mut window, at(0), 2, 3);
    assert_eq!(window.share(), 8);
    window.throttle(None, 0.0, at(5), at(5));
    window.others = 3;
    answered(&mut window, at(10), 2, 3);
    assert_eq!(window.share(), 7, "not after as long");
    answered(&mut window, at(20), 0, 3);
    assert_eq!(window.share(), 8);
}

#[test]
fn a_429_stops_every_call_and_longer_each_time() {
    let (mut window, start) = (begun(10), Instant::now());
    let throttle = |window: &mut Window, after, now| window.throttle(after, 0.0, now, now);
    throttle(&mut window, None, start);
    assert_eq!(window.admit(1, start), Err(start + FIRST_STOP));
    throttle(&mut window, None, start);
    assert_eq!(
        window.admit(1, start),
        Err(start + FIRST_STOP),
        "the same burst"
    );
    let start = start + FIRST_STOP;
    throttle(&mut window, None, start);
    assert_eq!(window.admit(1, start), Err(start + 2 * FIRST_STOP));
    throttle(&mut window, Some(Duration::from_secs(7)), start);
    assert_eq!(window.admit(1, start), Err(start + Duration::from_secs(7)));
    throttle(&mut window, Some(Duration::from_hours(24)), start);
    assert_eq!(window.admit(1, start), Err(start + LONGEST_STOP));
    assert!(window.admit(1, start + LONGEST_STOP).is_ok());
}

#[test]
fn an_urgent_call_passes_a_stop_once_a_second() {
    let (mut window, start) = (begun(10), Instant::now());
    window.throttle(Some(Duration::from_mins(1)), 0.0, start, start);
    assert!(window.admit_urgent(1, start).is_ok());
    let next = start + SECOND;
    assert_eq!(window.admit_urgent(1, start), Err(next));
    assert!(window.admit_urgent(1, next).is_ok());
    assert!(window.admit(1, next).is_err(), "others wait");
}
