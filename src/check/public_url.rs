//! What `GET` of the relay's own public address shows. The relay refuses the
//! method, which is harmless and shows that it is there.

use reqwest::Url;

use super::finding::{Category, Finding};
use super::words::in_plain_words;
use crate::upstream::Seen;

/// Judges the answer, or that there was none.
pub fn judge_public_url(url: &Url, answer: &Result<Seen, String>) -> Finding {
    let about = Category::PublicUrl;
    match answer.as_ref().map(|seen| seen.status) {
        Ok(405) => Finding::ok(about, format!("{url} answers as the relay does")),
        Ok(502..=504) => Finding::warning(
            about,
            format!("a proxy answers at {url}, but no relay behind it"),
            "start the relay, and see that the proxy leads to RELAY_LISTEN",
        ),
        Ok(status) => Finding::failure(
            about,
            format!("{url} answers with status {status}, which is not the relay"),
            "mend the proxy, or RELAY_PUBLIC_URL",
        ),
        Err(what) => Finding::warning(
            about,
            format!(
                "{url} gives no answer to this machine: {}",
                in_plain_words(what)
            ),
            "start the relay; if it runs, see from outside that the address answers",
        ),
    }
}
