//! Settings that work and that an operator may regret.

use rookery_control::RegistrationChoice;

use super::finding::Finding;
use crate::config::Config;

/// Everything that is weaker than it should be on the open net.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let warn = |what: &str, fix: &str| Finding::warning("setting", what.to_owned(), fix);
    let mut findings = Vec::new();
    if config.registration.mode == RegistrationChoice::Unthrottled {
        findings.push(warn(
            "registration is open without any throttle (registration.mode = \"unthrottled\")",
            "set it to \"on\", which keeps registration open within limits, or to \"closed\"",
        ));
    }
    if config
        .http
        .listen
        .iter()
        .any(|address| !address.ip().is_loopback())
    {
        findings.push(warn(
            "http.listen is open to other machines: everybody who reaches it reads your metrics",
            "listen on 127.0.0.1 and [::1], or let a firewall admit only your Prometheus",
        ));
    }
    let admin = &config.admin;
    if !admin.listen.is_empty() && admin.operators.is_empty() && admin.observers.is_empty() {
        findings.push(warn(
            "admin.listen is set, but nobody is in admin.operators or admin.observers",
            "add the names of the certificates that may use it; until then it refuses all",
        ));
    }
    if config.bandwidth.client_rate.is_off() {
        findings.push(warn(
            "clients may send without limit (bandwidth.client_rate = \"off\")",
            "leave it at its default: a single client can otherwise take all of the machine",
        ));
    }
    if !config.guard.enabled || !config.login_guard.enabled {
        findings.push(warn(
            "failed logins are not limited (guard.enabled or login_guard.enabled is false)",
            "leave both at their defaults: otherwise anybody may guess passwords as fast as he likes",
        ));
    }
    if config.flood.connects_per_address.0.is_none() && config.flood.connects_per_prefix.0.is_none()
    {
        findings.push(warn(
            "anybody may connect as often as he likes (flood.connects_per_address and _per_prefix are off)",
            "leave them at their defaults: each connection costs a TLS handshake",
        ));
    }
    if config.router.scram_iterations < SCRAM_ITERATIONS_MIN {
        findings.push(warn(
            "router.scram_iterations is below 4096: a stolen database gives passwords away cheaply",
            "leave it at its default (RFC 7677 asks for at least 4096)",
        ));
    }
    findings
}

/// RFC 7677 4.
const SCRAM_ITERATIONS_MIN: u32 = 4_096;
