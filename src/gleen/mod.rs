//! Gleen: one question, one answer.

mod client;
mod model;

pub use client::{Client, GREETING, GleenError, Question};
pub use model::Answer;
