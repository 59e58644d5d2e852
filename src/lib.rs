//! A webhook relay between Gladly and Gleen.

pub mod id;
pub mod outcome;
pub mod sim;
pub mod text;
