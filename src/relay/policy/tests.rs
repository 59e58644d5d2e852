//! Decisions, in tables.
