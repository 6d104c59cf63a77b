//! What a certificate says of itself, for `rookery check`.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::prepare_domain;
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use super::certificate::read_chain;
use super::{CertificateFiles, TlsLoadError};

/// What an operator needs to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// It holds from here on.
    pub not_before: Timestamp,
    /// It holds until here.
    pub not_after: Timestamp,
    /// Its DNS names; the first label may be `*`.
    pub dns_names: Vec<String>,
    /// Hosts for which it is only as an XMPP server: by a service name (RFC 4985) or an XMPP
    /// address (RFC 6120 13.7.1.4).
    pub xmpp_names: Vec<String>,
    /// Whether it is its own issuer.
    pub self_signed: bool,
    /// Certificates in the file.
    pub chain_length: usize,
}

impl CertificateFiles {
    /// Reads the certificate, not its key.
    pub fn facts(&self) -> Result<CertificateFacts, TlsLoadError> {
        let chain = read_chain(&self.chain)?;
        CertificateFacts::read(&chain[0], chain.len()).map_err(|cause| TlsLoadError::Certificate {
            path: self.chain.clone(),
            cause,
        })
    }
}

impl CertificateFacts {
    /// Whether a client that looks for `host` accepts the names (RFC 6125 6.4: a wildcard stands
    /// for one label).
    pub fn is_for(&self, host: &str) -> bool {
        let Ok(host) = prepare_domain(host) else {
            return false;
        };
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let is = |name: &str, wanted: &str| prepare_domain(name).is_ok_and(|name| name == wanted);
        let by_dns = self
            .dns_names
            .iter()
            .any(|name| match name.strip_prefix("*.") {
                Some(rest) => parent.is_some_and(|parent| is(rest, parent)),
                None => is(name, &host),
            });
        by_dns || self.xmpp_names.iter().any(|name| is(name, &host))
    }

    fn read(certificate: &[u8], chain_length: usize) -> Result<Self, String> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let alternatives = parsed
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        let names = alternatives.map_or(&[][..], |names| &names.value.general_names);
        Ok(Self {
            not_before: moment(parsed.validity().not_before),
            not_after: moment(parsed.validity().not_after),
            dns_names: names.iter().filter_map(dns_name).collect(),
            xmpp_names: names.iter().filter_map(xmpp_name).collect(),
            self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            chain_length,
        })
    }
}

fn moment(time: ASN1Time) -> Timestamp {
    Timestamp(
        u64::try_from(time.timestamp())
            .unwrap_or(0)
            .saturating_mul(1_000),
    )
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    }
}

fn xmpp_name(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::OtherName(oid, value) = name else {
        return None;
    };
    let text = explicit_text(value)?;
    match oid.to_id_string().as_str() {
        XMPP_ADDRESS => Some(text),
        SERVICE_NAME => ["_xmpp-client.", "_xmpps-client."]
            .iter()
            .find_map(|service| text.strip_prefix(service))
            .map(str::to_owned),
        _ => None,
    }
}

/// The string within an explicit tag, of whichever string type.
fn explicit_text(value: &[u8]) -> Option<String> {
    let (_, outer) = Any::from_der(value).ok()?;
    let (_, inner) = Any::from_der(outer.data).ok()?;
    std::str::from_utf8(inner.data).ok().map(str::to_owned)
}

/// `id-on-xmppAddr`.
const XMPP_ADDRESS: &str = "1.3.6.1.5.5.7.8.5";

/// `id-on-dnsSRV`.
const SERVICE_NAME: &str = "1.3.6.1.5.5.7.8.7";
