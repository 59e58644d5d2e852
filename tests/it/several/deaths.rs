//! Relays that die or stand still.

use super::*;
use crate::support::{asked_by_customers, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_is_replaced_and_its_turn_ends_once() {
    let Some(server) = server() else { return };
    let mut several = Several::two(server).await;
    let (conversation, thinking) = several.while_the_bot_thinks().await;
    several.take_driver().await.kill().await;
    thinking.release();
    let world = &several.world;
    let conversations = [conversation];
    answered(world, &conversations).await;
    assert_eq!(said(world, &conversations), [1]);
    several.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stood_still_says_nothing_when_it_wakes() {
    let Some(server) = server() else { return };
    let mut several = Several::two(server).await;
    let (conversation, thinking) = several.while_the_bot_thinks().await;
    let stuck = several.take_driver().await;
    stuck.signal("-STOP").await;
    let world = &several.world;
    let conversations = [conversation];
    answered(world, &conversations).await;
    thinking.release();
    stuck.signal("-CONT").await;
    // It is told that it drives no more.
    soon(async { while drives(&stuck).await {} }).await;
    assert_eq!(stuck.terminate().await, Some(0));
    assert_eq!(said(world, &conversations), [1]);
    assert_eq!(
        asked_by_customers(&world.gleen.questions()),
        2,
        "nobody could tell what became of the first"
    );
    several.stop().await;
}
