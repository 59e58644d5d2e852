//! `gladly-relay store copy`: relays on PostgreSQL go on where one on a file was, and
//! back.

use std::path::Path;

use tokio::process::Command;

use super::*;
use crate::support::asked_by_customers;

/// Copies: the exit code and what was said.
async fn copy(from: &str, to: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gladly-relay"));
    let output = command
        .args(["store", "copy", from, to])
        .env_clear()
        .env("RELAY_KEY", KEY)
        .kill_on_drop(true)
        .output();
    let output = soon(output).await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), said)
}

fn file(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// A relay is killed while Gleen has a question.
async fn begun(world: &TestRelay, relay: RelayProcess) -> String {
    let thinking = world.gleen.hold_next_answer(Operation::SendMessage);
    let first = world.conversation();
    world.says(&first, "hello");
    soon(thinking.reached()).await;
    relay.kill().await;
    world.lose_webhooks();
    thinking.release();
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_on_a_file_ends_on_postgresql_and_on_a_file_again() {
    let Some(server) = server() else { return };
    let mut several = Several::none(server, Setup::default()).await;
    let world = &mut several.world;
    let relay = RelayProcess::start(&world.config_file()).await;
    world.point_webhook_to(&relay.url);
    let told_before = world.conversation();
    world.says(&told_before, "before");
    answered(world, std::slice::from_ref(&told_before)).await;
    world.all_told().await;
    let in_use = copy(&file(&world.database()), &several.address).await;
    let first = begun(&several.world, relay).await;

    // The password is nobody's business.
    let secret = several.world.database().with_extension("address");
    std::fs::write(&secret, format!("{}\n", several.address)).unwrap();
    let at = format!("@{}", secret.display());
    let (code, said) = copy(&file(&several.world.database()), &at).await;
    assert_eq!(in_use.0, Some(1), "{}", in_use.1);
    assert!(in_use.1.contains("in use"), "{}", in_use.1);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("conversations            2\n"), "{said}");
    assert!(!said.contains("a%2Fb"), "{said}");

    several.add().await;
    several.add().await;
    let both = [told_before.clone(), first.clone()];
    answered(&several.world, &both).await;
    several.world.says(&told_before, "after");
    let twice =
        |world: &GladlyWorld| world.conversation(&told_before).unwrap().replies().len() == 2;
    soon(several.world.gladly.wait_for(twice)).await;
    several.world.all_told().await;
    assert_eq!(super::said(&several.world, &both), [2, 1]);

    let asked = asked_by_customers(&several.world.gleen.questions());
    let threads = several.world.gleen.questions();
    let of = |text: &str| {
        let asked = threads.iter().find(|question| question.text == text);
        asked.unwrap().thread_id.clone()
    };
    assert_eq!(of("before"), of("after"), "the thread went along");
    assert_eq!(asked, 4, "one question was cut off, and asked again");
    ends_on_a_file_again(several).await;
}

/// What the relays have done goes back into a file, once they have stopped.
async fn ends_on_a_file_again(mut several: Several) {
    let back = several.world.database().with_extension("back");
    let (code, said) = copy(&several.address, &file(&back)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stop every relay"), "{said}");
    let relays = std::mem::take(&mut several.relays);
    for relay in relays {
        assert_eq!(relay.terminate().await, Some(0));
    }
    let (code, said) = copy(&several.address, &file(&back)).await;
    assert_eq!(code, Some(0), "{said}");
    let lost = several.world.database().display().to_string();
    several.world.toml = several
        .world
        .toml
        .replace(&lost, &back.display().to_string());
    several.world.lose_webhooks();
    let environment = [("RELAY_KEY", KEY)];
    let relay = RelayProcess::start_with(&several.world.config_file(), &environment).await;
    several.world.point_webhook_to(&relay.url);
    let newest = several.world.conversation();
    several.world.says(&newest, "back again");
    answered(&several.world, std::slice::from_ref(&newest)).await;
    assert_eq!(relay.terminate().await, Some(0));
}
