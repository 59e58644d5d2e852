//! Is everything set up rightly? Asked by `check`, and by `serve` at its start.
//!
//! [`look_outside`] fetches, the rest judges: what an answer means is a
//! function of plain values. A finding says what is wrong and what to do.

mod finding;

mod configuration;
mod store;

mod look;

mod gladly;
mod gleen;
mod public_url;
mod webhook;

mod clock;
mod words;

pub use configuration::{conflicting, judge_configuration};
pub use finding::{Category, Finding, Report, Verdict};
pub use gleen::Extent;
pub use look::{GladlyClients, look_outside, reach};
pub use public_url::judge_public_url;
pub use store::{StoreLook, StoreState, judge_store, look_beside, look_within};
pub use webhook::{IDENTIFIER_HEADER, find_ours};

/// Logs what is wrong, each with what to do about it.
pub fn log(report: &Report) {
    for Finding {
        account,
        category,
        verdict,
        what,
        mend,
    } in &report.0
    {
        let account = account.as_ref().map(crate::id::AccountName::as_str);
        let (category, mend) = (category.as_str(), mend.as_deref());
        match verdict {
            Verdict::Ok => tracing::debug!(account, category, what, "the set-up is right here"),
            Verdict::Warning => {
                tracing::warn!(account, category, what, mend, "the set-up may be wrong");
            }
            Verdict::Failure => {
                tracing::error!(account, category, what, mend, "the set-up is wrong");
            }
        }
    }
}
