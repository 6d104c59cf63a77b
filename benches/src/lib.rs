//! What the measuring programs share: certificates, and servers that are started to be measured.

pub mod certificate;
pub mod child;
pub mod prosody;
