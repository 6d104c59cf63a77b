//! The router floor.
