//! What only a database that others share can do.

mod beside;
mod days;
mod lost;
mod plans;
mod versions;

use std::sync::OnceLock;

use crate::bench::OwnPostgres;
use crate::store::{MasterKey, Postgres, PostgresAddress, StoreAddress};

#[expect(clippy::print_stderr, reason = "whoever runs the tests must see it")]
/// One server for all tests of this process; none if none is installed.
pub(in crate::store) fn server() -> Option<&'static OwnPostgres> {
    static SERVER: OnceLock<Option<OwnPostgres>> = OnceLock::new();
    let start = || {
        let programs = OwnPostgres::programs();
        let required = std::env::var_os("RELAY_TEST_REQUIRE").is_some();
        assert!(
            programs.is_some() || !required,
            "PostgreSQL is required and not installed"
        );
        let settings = ["fsync=off", "max_connections=400"];
        programs.map(|programs| OwnPostgres::start(&programs, &settings).unwrap())
    };
    let server = SERVER.get_or_init(start).as_ref();
    if server.is_none() {
        eprintln!("skipped: no PostgreSQL");
    }
    server
}

/// What the tests' words are sealed with.
pub(in crate::store) fn key() -> Option<MasterKey> {
    MasterKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
}

/// A database of one's own, in which runners 1 to 9 hold terms.
pub(in crate::store) struct Own {
    server: &'static OwnPostgres,
    name: String,
}

impl Own {
    pub(in crate::store) fn new() -> Option<Self> {
        Some(Self::on(server()?))
    }

    fn on(server: &'static OwnPostgres) -> Self {
        let name = format!("own_{:08x}", fastrand::u32(..));
        server
            .sql("postgres", &format!("CREATE DATABASE {name}"))
            .unwrap();
        Self { server, name }
    }

    pub(in crate::store) fn address(&self) -> Box<PostgresAddress> {
        match StoreAddress::parse(&self.server.address(&self.name)) {
            Some(StoreAddress::Postgres(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::store) async fn open(&self) -> Postgres {
        let store = Postgres::open(&self.address(), key()).await.unwrap();
        self.sql(
            "INSERT INTO leases SELECT 'test-' || term, term, 'test', 'infinity'
             FROM generate_series(1, 9) term ON CONFLICT DO NOTHING",
        );
        store
    }

    pub(in crate::store) fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql).unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _: std::io::Result<String> = self.server.sql(
            "postgres",
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
    }
}
