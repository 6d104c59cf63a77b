//! The cluster's authority: makes the certificates of its nodes.

use std::time::{Duration, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rookery_control::TokenHash;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, OsEntropy};

use super::identity::Identity;

/// The authority with its key, on the nodes that hold it.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request for a certificate is wrong; its sender's to solve.
    #[error("the request for a certificate cannot be used: {0}")]
    Request(rcgen::Error),
    /// The authority's files do not work; the operator's to solve.
    #[error("the authority's certificate and key cannot be used: {0}")]
    Authority(rcgen::Error),
}

impl Authority {
    /// A new authority for a cluster, and its key (PEM).
    pub(super) fn make(cluster: &str, now: Timestamp) -> Result<(Self, String), AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("Rookery cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, AUTHORITY_VALID);
        let key = KeyPair::generate().map_err(AuthorityError::Authority)?;
        let pem = key.serialize_pem();
        let certificate = params
            .self_signed(&key)
            .map_err(AuthorityError::Authority)?
            .pem();
        let issuer = Issuer::new(params, key);
        Ok((
            Self {
                issuer,
                certificate,
            },
            pem,
        ))
    }

    /// The authority of these files' contents (PEM).
    pub(super) fn load(certificate: String, key: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key).map_err(AuthorityError::Authority)?;
        let issuer =
            Issuer::from_ca_cert_pem(&certificate, key).map_err(AuthorityError::Authority)?;
        Ok(Self {
            issuer,
            certificate,
        })
    }

    /// Its certificate (PEM).
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate (PEM) for a node with this key.
    pub(super) fn certify(
        &self,
        identity: &Identity,
        key: &impl PublicKeyData,
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        let names = identity.dns_names();
        let mut params = CertificateParams::new(names).map_err(AuthorityError::Authority)?;
        let uri = identity
            .to_string()
            .try_into()
            .map_err(AuthorityError::Authority)?;
        params.subject_alt_names.push(SanType::URI(uri));
        params.distinguished_name = named(&format!("node {}", identity.node));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(new_serial());
        set_validity(&mut params, now, NODE_VALID);
        let signed = params.signed_by(key, &self.issuer);
        Ok(signed.map_err(AuthorityError::Authority)?.pem())
    }

    /// A certificate (PEM) for a node that proves with a request (PKCS #10, DER) that it has its key. What the request
    /// asks for is passed over: who the node is, is not for it to say.
    pub(super) fn certify_request(
        &self,
        identity: &Identity,
        request: &[u8],
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        let request = CertificateSigningRequestParams::from_der(&request.into())
            .map_err(AuthorityError::Request)?;
        self.certify(identity, &request.public_key, now)
    }

    /// What makes a token ours: whoever does not hold the authority's key cannot find it, so that a stranger's guesses
    /// cost the control group nothing.
    pub(super) fn seal(&self, nonce: &[u8; 32]) -> [u8; 32] {
        let mut bytes = self.issuer.key().serialized_der().to_vec();
        bytes.extend_from_slice(nonce);
        *TokenHash::of(&bytes).as_bytes()
    }
}

/// A new key, and a request for a certificate for it (PKCS #10, DER).
pub(super) fn new_request() -> Result<(KeyPair, Vec<u8>), AuthorityError> {
    let key = KeyPair::generate().map_err(AuthorityError::Request)?;
    let request = request_for(&key)?;
    Ok((key, request))
}

/// A request for another certificate for a key (PEM).
pub(super) fn request_again(key: &str) -> Result<Vec<u8>, AuthorityError> {
    request_for(&KeyPair::from_pem(key).map_err(AuthorityError::Request)?)
}

fn request_for(key: &KeyPair) -> Result<Vec<u8>, AuthorityError> {
    let request = CertificateParams::default().serialize_request(key);
    Ok(request.map_err(AuthorityError::Request)?.der().to_vec())
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A number that no other certificate of the authority has (RFC 5280 4.1.2.2): positive, of at most 20 octets, and not
/// made of the key, which a renewed certificate has as well.
fn new_serial() -> SerialNumber {
    let mut serial = [0; 16];
    OsEntropy.fill(&mut serial);
    // Neither negative nor with leading zeros.
    serial[0] = serial[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&serial)
}

/// From an hour ago, for the clocks of machines differ.
fn set_validity(params: &mut CertificateParams, now: Timestamp, valid: Duration) {
    let now = UNIX_EPOCH + Duration::from_millis(now.as_millis());
    params.not_before = (now - Duration::from_secs(3_600)).into();
    params.not_after = (now + valid).into();
}

const YEAR: u64 = 365 * 86_400;

/// Longer than any cluster's machines.
const AUTHORITY_VALID: Duration = Duration::from_secs(20 * YEAR);

/// A node is replaced or gets another certificate before that; a removed one is refused whatever its certificate says.
const NODE_VALID: Duration = Duration::from_secs(5 * YEAR);

#[cfg(test)]
mod tests {
    use rookery_control::{NodeId, NodeRole};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    #[test]
    fn a_request_gets_the_identity_that_was_decided_and_not_the_one_it_asks_for() {
        let (authority, key) = Authority::make("nest", Timestamp::now()).unwrap();
        let authority = Authority::load(authority.certificate().to_owned(), &key).unwrap();
        let identity = Identity {
            cluster: "nest".into(),
            node: NodeId::new(2).unwrap(),
            roles: vec![NodeRole::Router],
        };
        let asked = CertificateParams::new(vec!["control.nest.rookery.internal".to_owned()]);
        let request = asked
            .unwrap()
            .serialize_request(&KeyPair::generate().unwrap())
            .unwrap();
        let made = authority
            .certify_request(&identity, request.der(), Timestamp::now())
            .unwrap();
        let der = CertificateDer::from_pem_slice(made.as_bytes()).unwrap();
        assert_eq!(Identity::of_certificate(&der), Ok(identity.clone()));
        assert!(!made.is_empty() && !identity.may(NodeRole::Control));
        let broken = authority.certify_request(&identity, b"nonsense", Timestamp::now());
        assert!(matches!(broken, Err(AuthorityError::Request(_))));
    }

    #[test]
    fn two_certificates_of_one_key_have_two_serial_numbers() {
        let (authority, _) = Authority::make("nest", Timestamp::now()).unwrap();
        let identity = Identity {
            cluster: "nest".into(),
            node: NodeId::new(2).unwrap(),
            roles: vec![NodeRole::Router],
        };
        let (_, request) = new_request().unwrap();
        let serial = || {
            let made = authority.certify_request(&identity, &request, Timestamp::now());
            let der = CertificateDer::from_pem_slice(made.unwrap().as_bytes()).unwrap();
            let (_, parsed) = X509Certificate::from_der(&der).unwrap();
            parsed.raw_serial().to_vec()
        };
        let (first, second) = (serial(), serial());
        assert_ne!(first, second);
        for serial in [first, second] {
            assert!(
                serial.len() <= 20 && (0x40..0x80).contains(&serial[0]),
                "{serial:?}"
            );
        }
    }
}
