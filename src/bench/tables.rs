//! What the tables and indexes of a PostgreSQL database have become: how large, and how
//! much of them is rows that nobody can see any more.

use std::collections::BTreeMap;

use super::count;
use super::figures::Section;
use super::scratch::{Databases, Scratch};

/// A value a line, by its name.
///
/// The indexes that have an entry only while something waits or runs are those of the
/// queue: they must not grow with what has been. `pg_stat_user_tables` may be a second
/// behind.
const LOOK: &str = "
    WITH queue AS (SELECT unnest(ARRAY['conversations_due', 'conversations_waiting',
                                       'turns_kept', 'dead_letters_of_turn']) AS name)
    SELECT 'tables ' || sum(pg_table_size(relid)) FROM pg_stat_user_tables
    UNION ALL SELECT 'indexes ' || sum(pg_indexes_size(relid)) FROM pg_stat_user_tables
    UNION ALL SELECT 'queue_indexes ' || sum(pg_relation_size(name::regclass)) FROM queue
    UNION ALL SELECT 'counters ' || sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables
        WHERE relname IN ('totals', 'writers', 'leases', 'keys', 'accounts', 'relays', 'probe', 'sweeps')
    UNION ALL SELECT 'dead ' || sum(n_dead_tup) FROM pg_stat_user_tables
    UNION ALL SELECT 'living ' || sum(n_live_tup) FROM pg_stat_user_tables
    UNION ALL SELECT 'updates ' || sum(n_tup_upd) FROM pg_stat_user_tables
    UNION ALL SELECT 'in_place ' || sum(n_tup_hot_upd) FROM pg_stat_user_tables
    UNION ALL SELECT 'vacuums ' || sum(autovacuum_count) FROM pg_stat_user_tables";

const MIB: f64 = 1024.0 * 1024.0;

/// What one look shows.
#[derive(Debug)]
pub(super) struct Tables(BTreeMap<String, f64>);

impl Tables {
    /// Looks; none if the server is not the bench's own.
    pub(super) fn look(databases: &Databases, database: &Scratch) -> anyhow::Result<Option<Self>> {
        let (Some(server), Some(name)) = (databases.own(), database.name()) else {
            return Ok(None);
        };
        let said = server.sql(name, LOOK)?;
        let values = said.lines().filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Some(Self(values.collect())))
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    fn share(&self, part: &str, of: &str) -> Option<f64> {
        let share = self.value(part)? / self.value(of)?;
        share.is_finite().then_some(share)
    }

    /// Adds what it shows after so many turns, beside what was seen half-way.
    pub(super) fn add(&self, turns: usize, half_way: Option<&Self>, section: &mut Section) {
        let mut add = |key: &str, what: &str, unit, value: &dyn Fn(&Self) -> Option<f64>| {
            let before = half_way.and_then(value);
            section
                .add(key, what, unit, value(self))
                .beside("half_way", before);
        };
        let mib = |name: &'static str| move |tables: &Self| Some(tables.value(name)? / MIB);
        add("tables", "tables", "MiB", &mib("tables"));
        add("indexes", "indexes", "MiB", &mib("indexes"));
        let what = "of these the queue's indexes";
        add("queue_indexes", what, "MiB", &mib("queue_indexes"));
        add(
            "counters",
            "sums, leases, writers, keys",
            "MiB",
            &mib("counters"),
        );
        let dead = |tables: &Self| tables.share("dead", "living");
        add("dead_rows", "dead rows, of the living", "", &dead);
        let in_place = |tables: &Self| tables.share("in_place", "updates");
        let what = "updates without a new index entry";
        add("updates_in_place", what, "", &in_place);
        let vacuums = |tables: &Self| tables.value("vacuums");
        add("vacuums", "runs of autovacuum", "", &vacuums);
        let all = self.value("tables").zip(self.value("indexes"));
        let each = all.map(|(tables, indexes)| (tables + indexes) / 1024.0 / count(turns));
        section.add("size_of_turn", "tables and indexes, each turn", "KiB", each);
    }
}
