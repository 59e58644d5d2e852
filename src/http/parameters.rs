//! The parameters of a query or a form, by name.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::id::AccountName;

/// All of them, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query or a form's body. What is no such thing has no parameters.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

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

    /// All of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(found, _)| found == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A path with these parameters; those that are none are left out.
    pub(super) fn path(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let given = pairs
            .iter()
            .filter_map(|(name, value)| Some((name, (*value)?)));
        query.extend_pairs(given);
        let query = query.finish();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(
            parts.uri.query().unwrap_or_default().as_bytes(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_into_a_path_is_read_again() {
        let hostile = "<script>&account=other#?%zz";
        let path = Parameters::path(
            "/dead-letters",
            &[("account", Some(hostile)), ("cause", None)],
        );
        let (path, query) = path.split_once('?').unwrap();
        let read = Parameters::parse(query.as_bytes());
        assert_eq!(path, "/dead-letters");
        assert_eq!(read.get("account"), Some(hostile));
        assert_eq!(read.get("cause"), None);
        assert_eq!(Parameters::path("/", &[("account", None)]), "/");
    }
}
