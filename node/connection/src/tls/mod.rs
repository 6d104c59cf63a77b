//! TLS of the virtual hosts: their certificates, chosen by SNI and replaced while clients are
//! connected.
//!
//! ```text
//! files ─► HostCertificate ─┐
//! files ─► HostCertificate ─┴► TlsGeneration ─► ServerConfig for STARTTLS, ServerConfig for direct TLS
//!                              (a reload makes a new one; handshakes that began keep theirs)
//! ```

mod certificate;
mod end_point;
mod error;
mod facts;
mod hosts;
mod options;

#[cfg(test)]
mod tests;

pub use error::TlsLoadError;
pub use facts::CertificateFacts;
pub(crate) use hosts::TlsGeneration;
pub use hosts::TlsHosts;
pub use options::{CertificateFiles, TlsOptions};
