//! The process environment, and what in it looks like a setting but is none.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::reader::Mistakes;

/// Variables that begin so are ours.
const OURS: [&str; 3] = ["RELAY_", "GLADLY_", "GLEEN_"];
/// Many programs have variables that begin so: only what is nearly one of ours
/// is taken for a slip.
const SHARED: &str = "ACCOUNT_";
/// The most letters that may be wrong in such a slip.
const SLIP: usize = 2;

/// The process environment as it was at start.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Takes a snapshot of this process's environment. Variables that are not
    /// UTF-8 are left out; none of ours can be.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// The value of a variable; an empty one counts as unset, as container
    /// tools pass it for "not given".
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.trim().is_empty())
    }

    /// True if `name` or `name_FILE` is set.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some()
    }

    /// Reports variables that look like ours and are not `known`, each with the
    /// nearest one that is. Those that the file names itself are the operator's own.
    pub(super) fn refuse_unknown(&self, known: &[&str], document: &Table, mistakes: &Mistakes) {
        let mut own = Vec::new();
        for value in document.values() {
            named_variables(value, &mut own);
        }
        for name in self.0.keys() {
            let setting = name.strip_suffix("_FILE").unwrap_or(name);
            let named = own.contains(&name.as_str()) || own.contains(&setting);
            let others = named || self.is_of_kubernetes(name);
            if others || self.get(name).is_none() {
                continue;
            }
            if let Some(nearest) = mistaken_for(name, known) {
                mistakes.add(format!(
                    "{name}: no such variable; the nearest known one is {nearest}"
                ));
            }
        }
    }

    /// Whether Kubernetes sets it for a service that is called `relay` or
    /// `gladly-relay` (Kubernetes manual, "Discovering services").
    fn is_of_kubernetes(&self, name: &str) -> bool {
        let service = ["_SERVICE_", "_PORT"]
            .iter()
            .find_map(|mark| name.split_once(mark))
            .map(|(service, _)| format!("{service}_SERVICE_HOST"));
        service.is_some_and(|host| self.get(&host).is_some())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Environment {
    fn from(variables: [(K, V); N]) -> Self {
        variables.into_iter().collect()
    }
}

/// What a test run says to the tests.
const OF_TESTS: &str = "RELAY_TEST_";

/// The variable that was probably meant by one that is none of ours; none if it
/// is somebody else's business.
fn mistaken_for<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let setting = name.strip_suffix("_FILE").unwrap_or(name);
    if known.contains(&setting) || name.starts_with(OF_TESTS) {
        return None;
    }
    let distance = |known: &str| strsim::osa_distance(known, setting);
    let nearest = known.iter().copied().min_by_key(|known| distance(known))?;
    let ours = OURS.iter().any(|prefix| name.starts_with(prefix));
    let slip = name.starts_with(SHARED) && distance(nearest) <= SLIP;
    (ours || slip).then_some(nearest)
}

/// Collects each `NAME` of `{ env = "NAME" }`.
fn named_variables<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::Table(table) => {
            names.extend(table.get("env").and_then(Value::as_str));
            for value in table.values() {
                named_variables(value, names);
            }
        }
        Value::Array(values) => {
            for value in values {
                named_variables(value, names);
            }
        }
        _ => {}
    }
}
