//! The one call to Gleen (Gleen API page, `send_message`).
//!
//! It is not idempotent: a question asked twice stands in the thread twice.
//! [`GleenError`] tells whether it surely was not taken up, or may have been.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::model::Answer;
use crate::config::GleenConfig;
use crate::id::{AccountName, ThreadId};
use crate::telemetry::{Metrics, Upstream};
use crate::upstream::{Cut, Seen, http_client, innermost, retry_after};

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// What is asked to see whether Gleen is there: it says whose question it is.
pub const GREETING: &str = "Hello! This is a test by gladly-relay.";

/// What to ask.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The customer's words.
    pub text: &'a str,
    /// The thread to go on with; none begins one.
    pub thread_id: Option<&'a ThreadId>,
    /// The language of the answer (ISO 639-1); none leaves it to Gleen.
    pub locale: Option<&'a str>,
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GleenError {
    /// No answer came in time; the question may have been taken up.
    #[error("Gleen did not answer in time")]
    Timeout,
    /// The question surely was not taken up: no connection, or 429.
    #[error("Gleen did not take the question: {what}")]
    NotTaken {
        /// What happened.
        what: String,
        /// How long Gleen asked to wait.
        after: Option<Duration>,
        /// Too many questions at once (429), which is no sign of ill health.
        throttled: bool,
    },
    /// Nobody can tell whether it was taken up: cut off, 502, 503, 504.
    #[error("Gleen may have taken the question, but no answer came: {what}")]
    Uncertain {
        /// What happened.
        what: String,
        /// How long Gleen asked to wait.
        after: Option<Duration>,
    },
    /// Gleen refused it in the way it would an expired thread.
    #[error("Gleen refused the question with status {0}")]
    MaybeUnknownThread(u16),
    /// Gleen failed or refused, or its answer could not be read.
    #[error("Gleen failed: {0}")]
    Failed(String),
}

/// How the exchange over the wire ended.
enum End {
    Answered {
        status: StatusCode,
        headers: HeaderMap,
        body: Vec<u8>,
    },
    /// No answer, or not all of it.
    Cut(reqwest::Error),
}

/// One account's access to Gleen.
pub struct Client {
    http: reqwest::Client,
    url: Url,
    config: GleenConfig,
    account: AccountName,
    metrics: Arc<Metrics>,
}

impl Client {
    /// # Errors
    /// Fails if the TLS library can't be set up or the key can't stand in a header.
    pub fn new(
        account: &AccountName,
        config: &GleenConfig,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", config.api_key.expose_secret()))?;
        authorization.set_sensitive(true);
        let http = http_client(&config.url)
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .build()?;
        Ok(Self {
            http,
            url: question_url(&config.url),
            config: config.clone(),
            account: account.clone(),
            metrics,
        })
    }

    /// Asks once, for at most `GLEEN_TIMEOUT`. May be dropped while it waits.
    pub async fn ask(&self, question: Question<'_>) -> Result<Answer, GleenError> {
        let mut body = json!({ "query_text": question.text, "stream": false });
        if let Some(ThreadId(thread_id)) = question.thread_id {
            body["thread_id"] = json!(thread_id);
        }
        if let Some(locale) = question.locale {
            body["locale"] = json!(locale);
        }
        let started = Instant::now();
        let end = self.send(&body).await;
        let status = match &end {
            End::Answered { status, .. } => status.as_u16().to_string(),
            End::Cut(error) => Cut::of(error).as_str().to_owned(),
        };
        self.metrics.request(
            &self.account,
            Upstream::Gleen,
            "send_message",
            status,
            started.elapsed(),
        );
        match end {
            End::Answered {
                status,
                headers,
                body,
            } => self.read(&question, status, &headers, &body),
            End::Cut(error) => Err(match Cut::of(&error) {
                Cut::Timeout => GleenError::Timeout,
                Cut::Connect => GleenError::NotTaken {
                    what: innermost(&error),
                    after: None,
                    throttled: false,
                },
                Cut::Broken => GleenError::Uncertain {
                    what: innermost(&error),
                    after: None,
                },
            }),
        }
    }

    /// Asks something harmless and takes the answer as it is, to see whether Gleen
    /// is there and takes the key.
    ///
    /// # Errors
    /// What happened, if no answer came.
    pub async fn greet(&self) -> Result<Seen, String> {
        let body = json!({ "query_text": GREETING, "stream": false });
        match self.send(&body).await {
            End::Answered {
                status,
                headers,
                body,
            } => Ok(Seen {
                status: status.as_u16(),
                headers,
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                at: Timestamp::now(),
            }),
            End::Cut(error) => Err(innermost(&error)),
        }
    }

    async fn send(&self, body: &Value) -> End {
        let request = self
            .http
            .post(self.url.clone())
            .timeout(self.config.timeout)
            .json(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return End::Cut(error),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let mut answer = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.len() + chunk.len() <= LARGEST_ANSWER => {
                    answer.extend_from_slice(&chunk);
                }
                // What is cut off here is no JSON any more, and so refused below.
                Ok(_) => break,
                Err(error) => return End::Cut(error),
            }
        }
        End::Answered {
            status,
            headers,
            body: answer,
        }
    }

    fn read(
        &self,
        question: &Question<'_>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Answer, GleenError> {
        match status.as_u16() {
            200..=299 => {
                let value: Value = serde_json::from_slice(body)
                    .map_err(|_| GleenError::Failed("its answer is not JSON".to_owned()))?;
                let (reply, handoff) = (&self.config.reply_pointer, &self.config.handoff_pointer);
                Ok(Answer::read(&value, reply.as_deref(), handoff.as_deref()))
            }
            400 | 404 | 410 | 422 if question.thread_id.is_some() => {
                Err(GleenError::MaybeUnknownThread(status.as_u16()))
            }
            429 => Err(GleenError::NotTaken {
                what: "status 429".to_owned(),
                after: retry_after(headers),
                throttled: true,
            }),
            code @ (502..=504) => Err(GleenError::Uncertain {
                what: format!("status {code}"),
                after: retry_after(headers),
            }),
            code => Err(GleenError::Failed(format!("status {code}"))),
        }
    }
}

/// Where questions go: below the address, which may be a gateway's with a path, or
/// be written with more or less of the API's own.
fn question_url(address: &Url) -> Url {
    let path = address.path().trim_end_matches('/');
    let path = path.strip_suffix("/send_message").unwrap_or(path);
    let path = path.strip_suffix("/api/v1").unwrap_or(path);
    let mut url = address.clone();
    url.set_path(&format!("{path}/api/v1/send_message"));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_go_below_the_address_path_and_all() {
        for (address, url) in [
            (
                "https://gleen.test",
                "https://gleen.test/api/v1/send_message",
            ),
            (
                "https://gleen.test/",
                "https://gleen.test/api/v1/send_message",
            ),
            (
                "https://gleen.test/api/v1",
                "https://gleen.test/api/v1/send_message",
            ),
            (
                "https://gleen.test/api/v1/send_message",
                "https://gleen.test/api/v1/send_message",
            ),
            (
                "https://gateway.test/g%20l/",
                "https://gateway.test/g%20l/api/v1/send_message",
            ),
            (
                "https://gateway.test/gleen/api/v1/",
                "https://gateway.test/gleen/api/v1/send_message",
            ),
        ] {
            let address = Url::parse(address).unwrap();
            assert_eq!(question_url(&address).as_str(), url);
        }
    }
}
