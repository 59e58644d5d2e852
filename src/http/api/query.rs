//! The query of a request, by name.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use reqwest::Url;

use crate::http::problem::Problem;
use crate::id::AccountName;
use crate::store::StoreError;

/// Its pairs.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The first of this name, unless it is blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(found, value)| found == name && !value.trim().is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The account that is asked for.
    pub(super) fn account(&self) -> Option<AccountName> {
        self.get("account").map(AccountName::new)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut pairs = Vec::new();
        // It parses whatever the query is.
        if let Ok(mut url) = Url::parse("http://localhost/") {
            url.set_query(parts.uri.query());
            pairs.extend(url.query_pairs().into_owned());
        }
        Ok(Self(pairs))
    }
}

/// The store can't be read now.
pub(super) fn unreadable(error: &StoreError) -> Problem {
    tracing::error!(%error, "what an operator asked for could not be read");
    Problem::unavailable("the store cannot be read")
}
