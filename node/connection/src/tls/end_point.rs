//! The channel binding `tls-server-end-point` (RFC 5929 4).

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

/// The hash of a certificate by the hash function of its own signature. `None` for signatures with
/// another hash function or with none (Ed25519), for which the RFC defines no binding.
pub(super) fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let hash = hash_of(&parsed.signature_algorithm)?;
    Some(match hash {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

fn hash_of(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    if algorithm.algorithm != OID_PKCS1_RSASSAPSS {
        return by_oid(&algorithm.algorithm);
    }
    let params = RsaSsaPssParams::try_from(algorithm.parameters()?).ok()?;
    by_oid(params.hash_algorithm_oid())
}

fn by_oid(oid: &Oid<'_>) -> Option<Hash> {
    HASHES
        .iter()
        .find(|(known, _)| known == oid)
        .map(|(_, hash)| *hash)
}

/// MD5 and SHA-1 are replaced by SHA-256 (RFC 5929 4.1).
const HASHES: &[(Oid<'static>, Hash)] = &[
    (OID_PKCS1_MD5WITHRSAENC, Hash::Sha256),
    (OID_PKCS1_SHA1WITHRSA, Hash::Sha256),
    (OID_PKCS1_SHA256WITHRSA, Hash::Sha256),
    (OID_PKCS1_SHA384WITHRSA, Hash::Sha384),
    (OID_PKCS1_SHA512WITHRSA, Hash::Sha512),
    (OID_SIG_ECDSA_WITH_SHA256, Hash::Sha256),
    (OID_SIG_ECDSA_WITH_SHA384, Hash::Sha384),
    (OID_SIG_ECDSA_WITH_SHA512, Hash::Sha512),
    (OID_HASH_SHA1, Hash::Sha256),
    (OID_NIST_HASH_SHA256, Hash::Sha256),
    (OID_NIST_HASH_SHA384, Hash::Sha384),
    (OID_NIST_HASH_SHA512, Hash::Sha512),
];
