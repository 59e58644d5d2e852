//! Relays that are all well.

use super::*;
use crate::support::asked_by_customers;

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_answered_once_though_every_relay_hears_of_it() {
    let Some(server) = server() else { return };
    let several = Several::two(server).await;
    several.answer_each_of_twelve_once().await;
    several.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_relay_heard_costs_no_look_more() {
    let Some(server) = server() else { return };
    let mut several = Several::two(server).await;
    let driver = several.take_driver().await;
    for webhook in &several.webhooks {
        several.world.lose_webhook(webhook);
    }
    several.world.point_webhook_to(&several.relays[0].url);
    let conversation = several.world.conversation();
    several.world.says(&conversation, "hello");
    let world = &several.world;
    answered(world, std::slice::from_ref(&conversation)).await;
    let look = Operation::GetConversation;
    assert_eq!(
        world.gladly.requests_of(look),
        1,
        "the one before the reply"
    );
    several.relays.push(driver);
    several.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stops_lets_its_turn_end_while_the_next_takes_over_at_once() {
    let Some(server) = server() else { return };
    let mut several = Several::two(server).await;
    let (first, thinking) = several.while_the_bot_thinks().await;
    let driver = several.take_driver().await;
    driver.signal("-TERM").await;
    let second = several.world.conversation();
    several.world.says(&second, "hello too");
    let world = &several.world;
    answered(world, std::slice::from_ref(&second)).await;
    assert_eq!(world.replies(&first), Vec::<String>::new());
    thinking.release();
    answered(world, std::slice::from_ref(&first)).await;
    assert_eq!(driver.wait().await, Some(0));
    assert_eq!(asked_by_customers(&world.gleen.questions()), 2);
    several.stop().await;
}
