//! Facts, in tables.
