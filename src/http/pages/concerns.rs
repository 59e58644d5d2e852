//! What needs a person, worst first. Pure.

use super::words::{count, length, percent};
use crate::http::accounts::{AccountView, AccountsView};
use crate::relay::WebhookState;

/// Nearly all of Gladly's limit: what more comes has to wait.
const MUCH_OF_THE_LIMIT: f64 = 0.95;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Customers wait for a person.
    Bad,
    /// They soon may.
    Warn,
}

impl Severity {
    /// Of the style.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
        }
    }

    /// For those who see no colour.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Bad => "Act now",
            Self::Warn => "Look",
        }
    }
}

/// One thing that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Concern {
    pub(super) severity: Severity,
    pub(super) account: String,
    pub(super) what: String,
    pub(super) todo: &'static str,
    /// A page that helps.
    pub(super) link: Option<(String, &'static str)>,
}

/// All of them.
pub(super) fn concerns(view: &AccountsView) -> Vec<Concern> {
    let mut all: Vec<Concern> = view.accounts.iter().flat_map(of_account).collect();
    all.extend(view.left.iter().map(|left| {
        let turns = count(left.turns, "unfinished turn", "unfinished turns");
        let dead = count(left.dead_letters, "dead letter", "dead letters");
        Concern {
            severity: Severity::Bad,
            account: left.account.to_string(),
            what: format!("{turns} and {dead} of an account that is not configured"),
            todo: "Configure it under this name, or settle its dead letters.",
            link: (left.dead_letters > 0).then(|| dead_letters_of(left.account.as_str())),
        }
    }));
    all.sort_by_key(|concern| concern.severity);
    all
}

fn dead_letters_of(account: &str) -> (String, &'static str) {
    let pairs = [("account", Some(account))];
    let path = crate::http::parameters::Parameters::path("/dead-letters", &pairs);
    (path, "See them")
}

fn of_account(view: &AccountView) -> Vec<Concern> {
    let (state, backlog) = (&view.state, &view.backlog);
    let account = state.name.to_string();
    let concern = |severity, what: String, todo| Concern {
        severity,
        account: account.clone(),
        what,
        todo,
        link: None,
    };
    let mut found = Vec::new();
    if state.locked_out {
        let what = "Gladly refuses the API user".to_owned();
        let todo = "Everything waits until it is accepted: see GLADLY_USERNAME and GLADLY_API_TOKEN, and the user's roles in Gladly.";
        found.push(concern(Severity::Bad, what, todo));
    }
    match state.webhook {
        WebhookState::Disabled => {
            let what = "its webhook in Gladly is switched off".to_owned();
            let todo = "Messages are only found by the sweep. Switch it on in Gladly, or run gladly-relay webhooks sync.";
            found.push(concern(Severity::Bad, what, todo));
        }
        WebhookState::Missing => {
            let what = "no webhook in Gladly leads here".to_owned();
            let todo = "Messages are only found by the sweep. Run gladly-relay webhooks sync.";
            found.push(concern(Severity::Bad, what, todo));
        }
        WebhookState::Enabled | WebhookState::Unknown => {}
    }
    if backlog.dead_letters > 0 {
        let what = count(backlog.dead_letters, "dead letter", "dead letters");
        let todo = "The relay could not finish these; their customers wait.";
        let link = Some(dead_letters_of(&account));
        found.push(Concern {
            link,
            ..concern(Severity::Bad, what, todo)
        });
    }
    if backlog.turns > 0 && backlog.oldest_waiting > state.answer_deadline {
        let waited = length(backlog.oldest_waiting);
        let what = format!("somebody has waited {waited}, longer than the deadline");
        let todo = "See whether Gladly answers, and the log.";
        found.push(concern(Severity::Bad, what, todo));
    }
    if state.breaker_open {
        let what = "Gleen fails, so customers go to humans at once".to_owned();
        let todo = "The bot is tried again every half minute. See whether Gleen is well.";
        found.push(concern(Severity::Warn, what, todo));
    }
    if state.limit_used >= MUCH_OF_THE_LIMIT {
        let what = format!(
            "{} of Gladly's rate limit is used",
            percent(state.limit_used)
        );
        let todo =
            "More messages than the limit allows: who can't be answered in time goes to a human.";
        found.push(concern(Severity::Warn, what, todo));
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::AccountName;
    use crate::relay::AccountState;
    use crate::store::Backlog;

    /// An account that is well.
    pub(in crate::http::pages) fn well(name: &str) -> AccountView {
        let name = AccountName::new(name);
        AccountView {
            backlog: Backlog::nothing(&name),
            state: AccountState {
                name,
                driven_by: Some("here:1".to_owned()),
                breaker_open: false,
                locked_out: false,
                webhook: WebhookState::Enabled,
                last_event_at: None,
                limit_used: 0.2,
                answer_deadline: Duration::from_mins(1),
                gladly_url: "https://acme.gladly.com".parse().unwrap(),
            },
        }
    }

    fn found(change: impl FnOnce(&mut AccountView)) -> Vec<Concern> {
        let mut view = well("acme");
        change(&mut view);
        concerns(&AccountsView {
            accounts: vec![view],
            left: Vec::new(),
        })
    }

    #[test]
    fn what_is_well_needs_nobody() {
        assert_eq!(found(|_| {}), []);
        assert_eq!(found(|view| view.state.webhook = WebhookState::Unknown), []);
        let busy = found(|view| {
            view.backlog.turns = 5;
            view.backlog.oldest_waiting = Duration::from_secs(59);
        });
        assert_eq!(busy, []);
    }

    #[test]
    fn each_trouble_is_told_with_what_to_do() {
        type Case = (fn(&mut AccountView), Severity, &'static str);
        let cases: [Case; 7] = [
            (
                |view| view.state.locked_out = true,
                Severity::Bad,
                "refuses",
            ),
            (
                |view| view.state.webhook = WebhookState::Disabled,
                Severity::Bad,
                "switched off",
            ),
            (
                |view| view.state.webhook = WebhookState::Missing,
                Severity::Bad,
                "leads here",
            ),
            (
                |view| view.backlog.dead_letters = 2,
                Severity::Bad,
                "2 dead letters",
            ),
            (
                |view| {
                    view.backlog.turns = 1;
                    view.backlog.oldest_waiting = Duration::from_secs(61);
                },
                Severity::Bad,
                "waited 1 min 1 s",
            ),
            (
                |view| view.state.breaker_open = true,
                Severity::Warn,
                "Gleen fails",
            ),
            (|view| view.state.limit_used = 0.97, Severity::Warn, "97 %"),
        ];
        for (change, severity, part) in cases {
            let found = found(change);
            assert_eq!(found.len(), 1, "{part}");
            assert_eq!(found[0].severity, severity, "{part}");
            assert!(found[0].what.contains(part), "{found:?}");
            assert!(!found[0].todo.is_empty());
        }
    }

    #[test]
    fn the_worst_comes_first_and_what_is_left_of_others_is_told() {
        let mut one = well("a");
        one.state.breaker_open = true;
        let mut other = well("b");
        other.state.locked_out = true;
        let mut left = Backlog::nothing(&AccountName::new("<gone>"));
        left.dead_letters = 1;
        let view = AccountsView {
            accounts: vec![one, other],
            left: vec![left],
        };
        let found = concerns(&view);
        let accounts: Vec<_> = found
            .iter()
            .map(|concern| concern.account.as_str())
            .collect();
        assert_eq!(accounts, ["b", "<gone>", "a"]);
        let (path, _) = found[1].link.clone().unwrap();
        assert_eq!(path, "/dead-letters?account=%3Cgone%3E");
    }
}
