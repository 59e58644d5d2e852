//! A database without room: on its disk, or for connections.

use std::os::unix::fs::MetadataExt as _;

use tokio::process::Command;

use super::*;
use crate::support::program;

/// More than a segment of the log, which is written to its end.
const LARGEST_FILE: u64 = 17 << 20;

/// How large its files may get: to whoever writes, it is as on a full disk.
async fn limit_files(prlimit: &std::path::Path, server: &OwnPostgres, limit: &str) {
    // Twice: while the first are told, one of them makes another.
    for process in [server.processes().unwrap(), server.processes().unwrap()].concat() {
        let mut command = Command::new(prlimit);
        command.args(["--pid", &process.to_string(), &format!("--fsize={limit}:")]);
        // Nobody but its owner may.
        let owner = server.folder().metadata().unwrap();
        command.uid(owner.uid()).gid(owner.gid());
        // One that has ended meanwhile needs no limit.
        soon(command.output()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_database_loses_nothing_and_needs_no_restart() {
    let Some(prlimit) = program("prlimit") else {
        return;
    };
    let Some(server) = own_server() else { return };
    let several = Several::two(&server).await;
    let database = several.address.rsplit('/').next().unwrap();
    let database = database.split('?').next().unwrap();
    let world = &several.world;
    let first = world.conversation();
    world.says(&first, "hello");
    answered(world, std::slice::from_ref(&first)).await;
    world.all_told().await;
    let off = "ALTER TABLE conversations SET (autovacuum_enabled = false)";
    server.sql(database, off).unwrap();
    limit_files(&prlimit, &server, &LARGEST_FILE.to_string()).await;
    // Wide rows, so that it is the table itself that gets no larger, and not an index of
    // it; then narrow ones into the gaps.
    for width in [1500, 0] {
        let fill = format!(
            "INSERT INTO conversations SELECT 'acme', 'filler-{width}-' || n, repeat('x', {width}),
                NULL, NULL, NULL, 0, 0 FROM generate_series(1, 20000) n"
        );
        let told = server.sql(database, &fill).unwrap_err().to_string();
        assert!(told.contains("could not extend"), "{told}");
    }

    let second = world.conversation();
    world.says(&second, "there is no room");
    several.all_refuse().await;
    limit_files(&prlimit, &server, "unlimited").await;
    let conversations = [first, second];
    answered(world, &conversations).await;
    world.all_told().await;
    assert_eq!(said(world, &conversations), [1, 1]);
    several.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_are_given_no_connection_go_on_once_there_is_one() {
    let Some(server) = own_server() else { return };
    let mut several = Several::none(&server, Setup::default()).await;
    let database = several.address.rsplit('/').next().unwrap();
    let database = database.split('?').next().unwrap().to_owned();
    // A role that is no superuser: it may do all that a relay needs.
    let role = format!("limited_{database}");
    server
        .sql(
            "postgres",
            &format!(
                "CREATE ROLE {role} LOGIN PASSWORD 'p'; ALTER DATABASE {database} OWNER TO {role}"
            ),
        )
        .unwrap();
    several.address = several
        .address
        .replace("relay:a%2Fb%40c%20d", &format!("{role}:p"));
    several.add().await;
    several.add().await;
    let limit = |most: i32| format!("ALTER ROLE {role} CONNECTION LIMIT {most}");
    server.sql("postgres", &limit(0)).unwrap();
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    server.sql("postgres", &end).unwrap();
    several.all_ready(503).await;
    let world = &several.world;
    let conversation = world.conversation();
    world.says(&conversation, "hello");
    several.all_refuse().await;
    for relay in &several.relays {
        relay.logs("too many connections for role").await;
    }
    server.sql("postgres", &limit(-1)).unwrap();
    several.all_ready(200).await;
    let conversations = [conversation];
    answered(world, &conversations).await;
    world.all_told().await;
    assert_eq!(said(world, &conversations), [1]);
    several.stop().await;
}
