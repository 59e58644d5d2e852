//! Gleen: one question, one answer.

mod client;
mod model;

pub use client::{Client, GleenError, Question};
pub use model::Answer;
