//! TLS to the database, as `sslmode` says: with authorities of the test's own.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use gladly_relay::store::{self, MasterKey, StoreAddress, StoreError};
use tempfile::TempDir;

use super::*;
use crate::support::{program, succeed};

/// Whom PostgreSQL runs as, where the tests run as root.
const NOBODY: u32 = 65_534;

/// Makes two authorities, and for `localhost` a certificate of the first.
async fn certificates(openssl: &Path, folder: &Path) {
    let file = |name: &str| folder.join(name).display().to_string();
    for authority in ["own", "other"] {
        let (key, made) = (file(&format!("{authority}.key")), file(authority));
        let request = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            &format!("/CN={authority}"),
            "-keyout",
            &key,
            "-out",
            &made,
        ];
        succeed(openssl, &request).await;
    }
    let (key, request, made) = (file("server.key"), file("request"), file("server"));
    let asked = [
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=database",
        "-keyout",
        &key,
        "-out",
        &request,
    ];
    succeed(openssl, &asked).await;
    std::fs::write(folder.join("names"), "subjectAltName = DNS:localhost\n").unwrap();
    let signed = [
        "x509",
        "-req",
        "-days",
        "30",
        "-in",
        &request,
        "-CA",
        &file("own"),
        "-CAkey",
        &file("own.key"),
        "-CAcreateserial",
        "-extfile",
        &file("names"),
        "-out",
        &made,
    ];
    succeed(openssl, &signed).await;
}

/// Lets the server show the certificate from now on.
async fn show(server: &OwnPostgres, folder: &Path) {
    for name in ["server.key", "server"] {
        let place = server.folder().join(name);
        std::fs::copy(folder.join(name), &place).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
        // Not root: then it is its own already.
        drop(chown(&place, Some(NOBODY), Some(NOBODY)));
    }
    let at = server.folder().display();
    for setting in [
        format!("ssl_cert_file = '{at}/server'"),
        format!("ssl_key_file = '{at}/server.key'"),
        "ssl = on".to_owned(),
    ] {
        let sql = format!("ALTER SYSTEM SET {setting}");
        server.sql("postgres", &sql).unwrap();
    }
    server.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let is_on = || server.sql("postgres", "SHOW ssl").unwrap() == "on";
    soon(async { while !is_on() {} }).await;
}

async fn open(address: &str) -> Result<(), StoreError> {
    let address = StoreAddress::parse(address).unwrap();
    let store = store::open(&address, MasterKey::parse(KEY)).await?;
    store.probe().await?;
    store.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_as_far_as_sslmode_says() {
    let Some(openssl) = program("openssl") else {
        return;
    };
    let Some(server) = own_server() else { return };
    let folder = TempDir::new().unwrap();
    certificates(&openssl, folder.path()).await;
    let address = |host: &str, query: &str| {
        let address = server.address("postgres").replace("127.0.0.1", host);
        let file = |name: &str| folder.path().join(name).display().to_string();
        let query = query.replace("OWN", &file("own"));
        address.replace("sslmode=disable", &query.replace("OTHER", &file("other")))
    };
    let plain = open(&address("localhost", "sslmode=require")).await;
    assert!(
        plain.is_err(),
        "what must be encrypted never goes in the clear"
    );
    show(&server, folder.path()).await;
    // Whatever is not encrypted is refused from now on.
    let hba = server.folder().join("data/pg_hba.conf");
    std::fs::write(
        &hba,
        "hostssl all all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    for (host, query, believed) in [
        ("localhost", "sslmode=verify-full&sslrootcert=OWN", true),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=OWN", false),
        ("localhost", "sslmode=verify-full&sslrootcert=OTHER", false),
        ("localhost", "sslmode=verify-full", false),
        ("localhost", "sslmode=verify-full&sslrootcert=system", false),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=OWN", true),
        ("localhost", "sslmode=verify-ca&sslrootcert=OTHER", false),
        ("127.0.0.1", "sslmode=require&sslrootcert=OTHER", false),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", "sslmode=prefer", true),
    ] {
        let opened = open(&address(host, query)).await;
        assert_eq!(opened.is_ok(), believed, "{host} {query}: {opened:?}");
        let told = opened.map_err(|error| error.to_string()).err();
        assert!(!told.unwrap_or_default().contains("a/b@c d"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_speaks_encrypted_on_every_connection() {
    let Some(openssl) = program("openssl") else {
        return;
    };
    let Some(server) = own_server() else { return };
    let folder = TempDir::new().unwrap();
    certificates(&openssl, folder.path()).await;
    show(&server, folder.path()).await;
    let mut several = Several::none(&server, Setup::default()).await;
    let own = folder.path().join("own").display().to_string();
    let full = format!("sslmode=verify-full&sslrootcert={own}");
    several.address = several
        .address
        .replace("sslmode=disable", &full)
        .replace("127.0.0.1", "localhost");
    several.add().await;
    let conversation = several.world.conversation();
    several.world.says(&conversation, "hello");
    answered(&several.world, std::slice::from_ref(&conversation)).await;
    let of_relay = "SELECT count(*) >= 4 AND bool_and(ssl) FROM pg_stat_ssl
        JOIN pg_stat_activity USING (pid) WHERE application_name = 'gladly-relay'";
    assert_eq!(server.sql("postgres", of_relay).unwrap(), "t");
    several.stop().await;
}
