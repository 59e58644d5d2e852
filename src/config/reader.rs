//! Reads settings from the environment and a TOML table, and collects every
//! mistake instead of stopping at the first.
//!
//! A variable wins over its key; `X_FILE` names a file that holds the value of
//! `X`. Values never appear in a mistake, because any of them may be a secret,
//! be it one that was written where its file's path belongs.

use std::cell::RefCell;

use secrecy::SecretString;
use toml::{Table, Value};

use super::environment::Environment;

/// What stands in `deploy/relay.toml` where only the operator knows the value.
const PLACEHOLDER: &str = "replace-with-";

/// One setting: where it may stand and what to write there.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) write: &'static str,
}

/// Everything that is wrong with a configuration.
#[derive(Default)]
pub(super) struct Mistakes(RefCell<Vec<String>>);

impl Mistakes {
    /// Adds a mistake, unless it has been said: several tables may read one variable.
    pub(super) fn add(&self, mistake: String) {
        let mut mistakes = self.0.borrow_mut();
        if !mistakes.contains(&mistake) {
            mistakes.push(mistake);
        }
    }

    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// One table of the file, with the variables that may override its keys.
pub(super) struct Section<'a> {
    environment: &'a Environment,
    mistakes: &'a Mistakes,
    table: Option<&'a Table>,
    path: String,
    /// False where several accounts share the file: then a variable such as
    /// `GLADLY_URL` would not say which account it means.
    variables_apply: bool,
    known_keys: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        mistakes: &'a Mistakes,
        table: Option<&'a Table>,
        path: &str,
        variables_apply: bool,
    ) -> Self {
        Self {
            environment,
            mistakes,
            table,
            path: path.to_owned(),
            variables_apply,
            known_keys: RefCell::default(),
        }
    }

    /// A table inside this one.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        let table = match self.value(key) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(_) => {
                self.mistakes
                    .add(format!("{}: write a table", self.place(key)));
                None
            }
        };
        Section::new(
            self.environment,
            self.mistakes,
            table,
            &self.place(key),
            self.variables_apply,
        )
    }

    /// The value of a setting, parsed; none if it is not given or wrong.
    pub(super) fn get<T>(
        &self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (place, text) = self.text(setting)?;
        let parsed = parse(text.trim());
        if parsed.is_none() {
            self.mistakes
                .add(format!("{place}: not understood; write {}", setting.write));
        }
        parsed
    }

    /// As [`Section::get`], but not giving it is a mistake.
    pub(super) fn require<T>(
        &self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if !self.gives(setting) {
            self.missing(setting);
        }
        self.get(setting, parse)
    }

    /// A secret, which TOML may also give as `{ env = … }` or `{ file = … }`.
    pub(super) fn secret(&self, setting: &Setting) -> Option<SecretString> {
        let (place, text) = self.text(setting)?;
        self.wrap(&place, &text, setting)
    }

    /// A secret that must be given.
    pub(super) fn require_secret(&self, setting: &Setting) -> Option<SecretString> {
        if !self.gives(setting) {
            self.missing(setting);
        }
        self.secret(setting)
    }

    /// Several secrets, at least one: a TOML list, or a comma-separated text.
    pub(super) fn require_secrets(&self, setting: &Setting) -> Vec<SecretString> {
        let given = match self.value(setting.key) {
            Some(Value::Array(values)) if !self.variable_given(setting) => {
                let place = self.place(setting.key);
                let resolved = values
                    .iter()
                    .map(|value| Some((place.clone(), self.resolve(&place, value, setting)?)));
                resolved.collect()
            }
            _ if self.gives(setting) => self.text(setting).map(|(place, text)| {
                let parts = text.split(',').filter(|part| !part.trim().is_empty());
                parts.map(|part| (place.clone(), part.to_owned())).collect()
            }),
            _ => Some(Vec::new()),
        };
        let Some(given): Option<Vec<(String, String)>> = given else {
            return Vec::new();
        };
        if given.is_empty() {
            self.missing(setting);
        }
        let secrets = given
            .iter()
            .filter_map(|(place, text)| self.wrap(place, text.trim(), setting));
        secrets.collect()
    }

    /// Wraps a secret that can stand in a header. A blank one never can: what
    /// compares with it would accept a caller who brings nothing.
    fn wrap(&self, place: &str, text: &str, setting: &Setting) -> Option<SecretString> {
        if self.is_placeholder(place, text, setting) {
            return None;
        }
        let wrong = if text.trim().is_empty() {
            "empty"
        } else if text.bytes().any(|byte| !matches!(byte, b' '..=b'~')) {
            "not printable ASCII on one line"
        } else {
            return Some(SecretString::from(text));
        };
        self.mistakes
            .add(format!("{place}: {wrong}; write {}", setting.write));
        None
    }

    /// A list of strings, which only the file can give.
    pub(super) fn strings(&self, setting: &Setting) -> Option<Vec<String>> {
        let strings = self.value(setting.key)?.as_array().and_then(|values| {
            values
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        if strings.is_none() {
            self.mistakes.add(format!(
                "{}: write {}",
                self.place(setting.key),
                setting.write
            ));
        }
        strings
    }

    /// Marks a key as known that is read in another way.
    pub(super) fn know(&self, key: &'static str) {
        let _: Option<&Value> = self.value(key);
    }

    /// Reports the keys that nobody asked for, each with the nearest known one.
    pub(super) fn finish(&self) {
        let known = self.known_keys.borrow();
        for key in self.table.into_iter().flat_map(Table::keys) {
            if known.contains(&key.as_str()) {
                continue;
            }
            let nearest = known.iter().max_by(|a, b| {
                strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key))
            });
            let hint = nearest.map_or_else(String::new, |nearest| {
                format!("; the nearest known key is `{nearest}`")
            });
            self.mistakes
                .add(format!("{}: unknown key{hint}", self.place(key)));
        }
    }

    /// Adds a mistake about a setting, at the place where it was given.
    pub(super) fn wrong(&self, setting: &Setting, what: &str) {
        let place = match setting.variable {
            Some(variable) if self.variable_given(setting) => variable.to_owned(),
            _ => self.place(setting.key),
        };
        self.mistakes.add(format!("{place}: {what}"));
    }

    fn missing(&self, setting: &Setting) {
        let place = match setting.variable {
            Some(variable) if self.variables_apply => {
                format!("{variable} (`{}`)", self.place(setting.key))
            }
            _ => self.place(setting.key),
        };
        self.mistakes
            .add(format!("{place}: missing; write {}", setting.write));
    }

    fn variable_given(&self, setting: &Setting) -> bool {
        self.variables_apply
            && setting
                .variable
                .is_some_and(|variable| self.environment.sets(variable))
    }

    pub(super) fn gives(&self, setting: &Setting) -> bool {
        self.variable_given(setting) || self.value(setting.key).is_some()
    }

    fn value(&self, key: &'static str) -> Option<&'a Value> {
        let mut known = self.known_keys.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table?.get(key)
    }

    fn place(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The text of a setting and the place it was read from.
    fn text(&self, setting: &Setting) -> Option<(String, String)> {
        let from_file = self.value(setting.key);
        let variable = setting.variable.filter(|_| self.variable_given(setting));
        let place = variable.map_or_else(|| self.place(setting.key), str::to_owned);
        let text = if let Some(variable) = variable {
            self.variable(variable)?
        } else {
            self.resolve(&place, from_file?, setting)?
        };
        (!self.is_placeholder(&place, &text, setting)).then_some((place, text))
    }

    /// Reports what the sample file has in place of a value.
    fn is_placeholder(&self, place: &str, text: &str, setting: &Setting) -> bool {
        let is_placeholder = text.contains(PLACEHOLDER);
        if is_placeholder {
            self.mistakes.add(format!(
                "{place}: still the sample file's placeholder; write {}",
                setting.write
            ));
        }
        is_placeholder
    }

    /// The value of `X`, or what the file named by `X_FILE` holds.
    fn variable(&self, variable: &str) -> Option<String> {
        let file_variable = format!("{variable}_FILE");
        match (
            self.environment.get(variable),
            self.environment.get(&file_variable),
        ) {
            (Some(_), Some(_)) => {
                self.mistakes.add(format!(
                    "{variable}: given twice; unset {variable} or {file_variable}"
                ));
                None
            }
            (Some(text), None) => Some(text.to_owned()),
            (None, Some(path)) => self.read(&file_variable, path),
            (None, None) => None,
        }
    }

    fn resolve(&self, place: &str, value: &Value, setting: &Setting) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(flag) => Some(flag.to_string()),
            Value::Table(table) => self.indirect(place, table),
            Value::Array(_) | Value::Datetime(_) => {
                self.mistakes
                    .add(format!("{place}: write {}", setting.write));
                None
            }
        }
    }

    /// `{ env = "NAME" }`, which `NAME_FILE` may give too, or `{ file = "PATH" }`.
    fn indirect(&self, place: &str, table: &Table) -> Option<String> {
        let text = |key| table.get(key).and_then(Value::as_str);
        match (table.len(), text("env"), text("file")) {
            (1, Some(name), None) => {
                let value = self.variable(name);
                if !self.environment.sets(name) {
                    self.mistakes.add(format!(
                        "{place}: the variable named here is not set; set it"
                    ));
                }
                value
            }
            (1, None, Some(path)) => self.read(place, path),
            _ => {
                self.mistakes.add(format!(
                    "{place}: write a string, {{ env = \"NAME\" }} or {{ file = \"PATH\" }}"
                ));
                None
            }
        }
    }

    fn read(&self, place: &str, path: &str) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                self.mistakes.add(format!(
                    "{place}: the file named here is empty; write the value into it"
                ));
                None
            }
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.mistakes.add(format!(
                    "{place}: the file named here cannot be read: {error}; name one that the relay may read"
                ));
                None
            }
        }
    }
}
