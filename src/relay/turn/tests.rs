//! The turn, in tables.
