//! The connection floor.
