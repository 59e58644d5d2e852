//! What a look has found, and how it is shown.

use std::fmt;

use serde_json::{Value, json};

use crate::id::AccountName;

/// The most of a foreign name that is shown.
const LONGEST_NAME: usize = 80;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It may be right, but that can't be seen from here.
    Warning,
    /// Wrong.
    Failure,
}

impl Verdict {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// What a finding is about, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// The settings, by themselves.
    Configuration,
    /// The database.
    Store,
    /// The address at which Gladly finds the relay.
    PublicUrl,
    /// Gladly: reach, token, roles, rate.
    Gladly,
    /// The two inboxes.
    Inboxes,
    /// The bot's user.
    Agent,
    /// The webhook in Gladly.
    Webhook,
    /// The bot.
    Gleen,
    /// This machine's clock against the others'.
    Clock,
}

impl Category {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Store => "store",
            Self::PublicUrl => "public_url",
            Self::Gladly => "gladly",
            Self::Inboxes => "inboxes",
            Self::Agent => "agent",
            Self::Webhook => "webhook",
            Self::Gleen => "gleen",
            Self::Clock => "clock",
        }
    }
}

/// One look's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose it is; none if it concerns all accounts.
    pub account: Option<AccountName>,
    /// What it is about.
    pub category: Category,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(category: Category, what: impl Into<String>) -> Self {
        Self::new(category, Verdict::Ok, what.into(), None)
    }

    /// It may be wrong.
    pub fn warning(category: Category, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(category, Verdict::Warning, what.into(), Some(mend.into()))
    }

    /// It is wrong.
    pub fn failure(category: Category, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(category, Verdict::Failure, what.into(), Some(mend.into()))
    }

    fn new(category: Category, verdict: Verdict, what: String, mend: Option<String>) -> Self {
        Self {
            account: None,
            category,
            verdict,
            what,
            mend,
        }
    }

    /// The same, of an account.
    #[must_use]
    pub fn of(mut self, account: &AccountName) -> Self {
        self.account = Some(account.clone());
        self
    }

    fn to_json(&self) -> Value {
        json!({
            "account": self.account.as_ref().map(AccountName::as_str),
            "category": self.category.as_str(),
            "result": self.verdict.as_str(),
            "what": self.what,
            "mend": self.mend,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.as_ref().map_or("-", AccountName::as_str);
        let (verdict, category) = (self.verdict.as_str(), self.category.as_str());
        write!(f, "{verdict:<8} {account:<12} {category:<14} {}", self.what)?;
        match &self.mend {
            Some(mend) => write!(f, "; {mend}"),
            None => Ok(()),
        }
    }
}

/// All findings.
#[derive(Debug, Clone, Default)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Sorted by account, those of all accounts first, and category.
    pub fn sorted(mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| (&a.account, a.category).cmp(&(&b.account, b.category)));
        Self(findings)
    }

    /// How many findings are so bad.
    pub fn count(&self, verdict: Verdict) -> usize {
        let with = self.0.iter().filter(|finding| finding.verdict == verdict);
        with.count()
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.0.iter().map(Finding::to_json).collect();
        json!({
            "ok": self.count(Verdict::Failure) == 0,
            "failures": self.count(Verdict::Failure),
            "warnings": self.count(Verdict::Warning),
            "findings": findings,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let counted = |verdict: Verdict| {
            let count = self.count(verdict);
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", verdict.as_str())
        };
        let failures = counted(Verdict::Failure);
        write!(f, "{failures}, {}", counted(Verdict::Warning))
    }
}

/// A name that came from outside, as it may stand on a terminal.
pub(super) fn shown(name: &str) -> String {
    let name = name.chars().filter(|c| !c.is_control());
    format!("\"{}\"", name.take(LONGEST_NAME).collect::<String>())
}
