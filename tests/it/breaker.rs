//! A Gleen that fails in a row is left alone, and customers get a human at once.

use std::time::Duration;

use gladly_relay::outcome::HandoffReason::{BotError, BotTimeout, BreakerOpen, Deadline};
use gladly_relay::outcome::Outcome;
use gladly_relay::sim::{Fault, Outage, What, When};

use crate::support::{Setup, TestRelay, let_pass};

#[tokio::test]
async fn after_five_failures_in_a_row_humans_get_everything_at_once() {
    let relay = TestRelay::start().await;
    relay.gleen.down(Outage::Status(500));
    for count in 0..8 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        let expected = if count < 5 { BotError } else { BreakerOpen };
        assert_eq!(
            relay.outcomes(count + 1).await[count],
            Outcome::HandedOff(expected),
            "{count}"
        );
        assert_eq!(relay.view(&conversation).inbox_id, "human-inbox");
    }
    assert_eq!(
        relay.gleen.requests().len(),
        5,
        "it is not asked while the breaker is open"
    );
    let metrics = relay.metrics().await;
    assert!(
        metrics.contains(r#"gladly_relay_breaker_open{account="acme"} 1"#),
        "{metrics}"
    );
    relay.finish().await;
}

#[tokio::test]
async fn being_throttled_does_not_open_it() {
    let relay = TestRelay::start().await;
    relay.gleen.down(Outage::Status(429));
    for count in 0..4 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        assert_eq!(
            relay.outcomes(count + 1).await[count],
            Outcome::HandedOff(BotError)
        );
    }
    assert_eq!(
        relay.gleen.requests().len(),
        12,
        "each is asked three times"
    );
    assert!(
        relay
            .metrics()
            .await
            .contains(r#"gladly_relay_breaker_open{account="acme"} 0"#)
    );
    relay.finish().await;
}

#[tokio::test]
async fn once_gleen_has_healed_one_question_finds_out_and_all_are_asked_again() {
    let relay = TestRelay::start().await;
    relay.gleen.down(Outage::Status(500));
    for count in 0..6 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        relay.outcomes(count + 1).await;
    }
    relay.gleen.up();
    let_pass(Duration::from_secs(31)).await;
    for count in 6..8 {
        let conversation = relay.conversation();
        relay.says(&conversation, "hello");
        assert_eq!(relay.outcomes(count + 1).await[count], Outcome::Replied);
    }
    assert!(
        relay
            .metrics()
            .await
            .contains(r#"gladly_relay_breaker_open{account="acme"} 0"#)
    );
    relay.finish().await;
}

#[tokio::test]
async fn answers_that_come_too_late_open_it_too() {
    let setup = Setup {
        account_gleen: "timeout = \"100ms\"".to_owned(),
        ..Setup::default()
    };
    let relay = setup.start().await;
    relay.gleen.fault(Fault {
        operation: None,
        when: When::Always,
        what: What::Delay(Duration::from_mins(1)),
    });
    for count in 0..6 {
        relay.says(&relay.conversation(), "hello");
        let expected = if count < 5 { BotTimeout } else { BreakerOpen };
        assert_eq!(
            relay.outcomes(count + 1).await[count],
            Outcome::HandedOff(expected)
        );
    }
    relay.finish().await;
}

#[tokio::test]
async fn questions_that_had_little_time_left_do_not_open_it() {
    let relay = Setup::policy("answer_deadline = \"1s\"").start().await;
    relay.gleen.fault(Fault {
        operation: None,
        when: When::Next(5),
        what: What::Delay(Duration::from_mins(1)),
    });
    for _ in 0..5 {
        relay.says(&relay.conversation(), "hello");
    }
    assert_eq!(
        relay.outcomes(5).await,
        [(); 5].map(|()| Outcome::HandedOff(Deadline))
    );
    relay.says(&relay.conversation(), "hello");
    assert_eq!(relay.outcomes(6).await[5], Outcome::Replied);
    relay.finish().await;
}
