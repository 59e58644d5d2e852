//! The database goes away and comes back.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_database_loses_nothing_and_needs_no_restart() {
    let Some(server) = own_server() else { return };
    let several = Several::two(&server).await;
    let world = &several.world;
    let (first, thinking) = several.while_the_bot_thinks().await;
    server.crash().unwrap();
    several.all_ready(503).await;
    let second = world.conversation();
    world.says(&second, "while it is away");
    several.all_refuse().await;
    let refusals = |world: &GladlyWorld| {
        let refused = world.deliveries().iter().filter(|it| !it.succeeded());
        Some(refused.map(|it| it.status).collect::<Vec<_>>())
    };
    let refusals = world.gladly.wait_until(refusals).await;
    assert!(refusals.iter().all(|it| *it == Some(503)), "{refusals:?}");
    server.start_again().unwrap();
    several.all_ready(200).await;
    thinking.release();
    let conversations = [first, second];
    answered(world, &conversations).await;
    world.all_told().await;
    assert_eq!(said(world, &conversations), [1, 1]);
    several.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_loses_nothing() {
    let Some(server) = own_server() else { return };
    let several = Several::two(&server).await;
    let world = &several.world;
    let (first, thinking) = several.while_the_bot_thinks().await;
    server.pause().unwrap();
    for process in server.processes().unwrap() {
        assert_eq!(state(process), "T", "all of it stands still");
    }
    let second = world.conversation();
    world.says(&second, "while it stands still");
    several.all_refuse().await;
    several.all_ready(503).await;
    server.resume().unwrap();
    several.all_ready(200).await;
    thinking.release();
    let conversations = [first, second];
    answered(world, &conversations).await;
    world.all_told().await;
    assert_eq!(said(world, &conversations), [1, 1]);
    several.stop().await;
}

/// As in `ps`.
fn state(process: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    after.split(' ').next().unwrap().to_owned()
}
