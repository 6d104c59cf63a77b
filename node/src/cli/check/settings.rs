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
    findings.extend(web(config));
    findings
}

/// The public pages.
fn web(config: &Config) -> Vec<Finding> {
    let warn = |what: &str, fix: &str| Finding::warning("setting", what.to_owned(), fix);
    let (web, mut findings) = (&config.web, Vec::new());
    if web.listen.is_empty() {
        if config.registration.mode == RegistrationChoice::Invite {
            findings.push(warn(
                "only the invited may register, and no page tells them how (web.listen is empty)",
                "set web.listen and web.base_url, or hand out the xmpp: addresses",
            ));
        }
        return findings;
    }
    if web.base_url.is_empty() {
        findings.push(warn(
            "invitations have no link to their page (web.base_url is empty)",
            "set it to where people reach the pages, such as \"https://example.org\"",
        ));
    } else if !web.base_url.starts_with("https://") {
        findings.push(warn(
            "links to invitations begin with http:// (web.base_url): who sees one on its way can use it",
            "serve the pages by HTTPS and write https://",
        ));
    }
    let is_local = |address: &std::net::SocketAddr| address.ip().is_loopback();
    if !web.tls && web.proxy_trusted.is_empty() {
        let (what, fix) = match web.listen.iter().all(is_local) {
            true => (
                "behind a proxy all visitors of the public pages seem to be one (web.proxy_trusted is empty)",
                "name the proxy, such as [\"127.0.0.1/32\"], or the limits of one address hold for everybody",
            ),
            false => (
                "the public pages are served without TLS (web.tls = false)",
                "set it to true, or put a proxy in front that does TLS and name it in web.proxy_trusted",
            ),
        };
        findings.push(warn(what, fix));
    }
    if web.tls && !web.base_url.is_empty() && !shows_certificate_for(config, &web.base_url) {
        findings.push(warn(
            "no certificate of tls.certificates is for the host of web.base_url: browsers will warn",
            "add one whose host is that name",
        ));
    }
    findings
}

fn shows_certificate_for(config: &Config, base: &str) -> bool {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let mut certificates = config.tls.certificates.iter();
    certificates.any(|files| files.host.eq_ignore_ascii_case(host))
}

/// RFC 7677 4.
const SCRAM_ITERATIONS_MIN: u32 = 4_096;
