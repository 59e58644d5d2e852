//! A report as JSON: what `report --json` prints and the admin API answers.

use serde_json::{Value, json};

use super::{Figures, Histogram, Report, Share};
use crate::store::totals::hour_begins;

impl Report {
    /// All of it.
    pub fn to_json(&self) -> Value {
        let accounts = self.accounts.iter().map(|(account, figures)| {
            let mut one = figures.to_json();
            one["account"] = json!(account.as_str());
            one
        });
        let days = self.days.iter().map(|((day, account), figures)| {
            let mut one = figures.to_json();
            one["day"] = json!(day);
            one["account"] = json!(account.as_str());
            one
        });
        json!({
            "since": self.span.begins(),
            "until": hour_begins(self.span.until_hour),
            "time_zone": "UTC",
            "account": self.account.as_ref().map(crate::id::AccountName::as_str),
            "total": self.all.to_json(),
            "before": self.before.to_json(),
            "accounts": accounts.collect::<Vec<_>>(),
            "days": days.collect::<Vec<_>>(),
        })
    }
}

impl Figures {
    /// All figures of these hours.
    pub fn to_json(&self) -> Value {
        json!({
            "messages": self.messages,
            "turns": self.turns(),
            "replied": self.replied,
            "handed_off": {
                "total": self.handovers(),
                "expected": self.expected_handovers(),
                "by_reason": self.handed_off,
            },
            "skipped": { "total": self.left_alone(), "by_reason": self.skipped },
            "dead": self.dead,
            "conversations": {
                "with_a_message": self.with_a_message,
                "involved": self.involved,
                "answered": self.answered,
                "contained": self.contained,
                "reopened": self.reopened,
            },
            "rates": {
                "involvement": self.involvement().to_json(),
                "answered": self.answer_rate().to_json(),
                "containment": self.containment().to_json(),
                "durable_containment": self.durable_containment().to_json(),
                "automation": self.automation().to_json(),
            },
            "answer_ms": self.to_answer.to_json(),
            "human_ms": self.to_human.to_json(),
            "recovered_by_sweep": self.recovered,
            "gladly_calls": self.calls,
            "gladly_limit_used": {
                "average": self.limit_used(),
                "busiest_hour": self.limit_used_at_most(),
            },
        })
    }
}

impl Share {
    fn to_json(self) -> Value {
        let rate = self.rate();
        json!({
            "numerator": self.numerator,
            "denominator": self.denominator,
            "rate": rate,
            "too_few": rate.is_none(),
        })
    }
}

impl Histogram {
    fn to_json(&self) -> Value {
        let ms = |length: Option<std::time::Duration>| {
            length.map(|length| u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
        };
        json!({ "count": self.count(), "p50": ms(self.median()), "p95": ms(self.p95()) })
    }
}
