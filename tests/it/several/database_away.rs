//! The database goes away and comes back.

use super::*;
use crate::support::soon;

async fn ready(relay: &RelayProcess) -> u16 {
    let answer = reqwest::get(format!("{}/readyz", relay.url)).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_database_loses_nothing_and_needs_no_restart() {
    let Some(server) = own_server() else { return };
    let several = Several::two(&server).await;
    let thinking = several.world.gleen.hold_next_answer(Operation::SendMessage);
    let world = &several.world;
    let first = world.conversation();
    world.says(&first, "hello");
    soon(thinking.reached()).await;
    server.crash().unwrap();
    for relay in &several.relays {
        soon(async { while ready(relay).await != 503 {} }).await;
    }
    let second = world.conversation();
    world.says(&second, "while it is away");
    let refused = |world: &GladlyWorld| {
        let deliveries = world.deliveries().iter();
        deliveries
            .filter(|delivery| delivery.status == Some(503))
            .count()
            >= 2
    };
    soon(world.gladly.wait_for(refused)).await;
    server.start_again().unwrap();
    for relay in &several.relays {
        soon(async { while ready(relay).await != 200 {} }).await;
    }
    thinking.release();
    let conversations = [first, second];
    answered(world, &conversations).await;
    world.all_told().await;
    assert_eq!(said(world, &conversations), [1, 1]);
    several.stop().await;
}
