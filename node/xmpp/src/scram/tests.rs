use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// Checks a recorded exchange of the user `user` with the password `pencil`.
fn check(hash: Hash, salt: &str, auth_message: &str, proof: &str, signature: &str) {
    let keys = ScramKeys::derive(hash, "pencil", &bytes(salt), 4096).unwrap();
    let auth_message = auth_message.as_bytes();
    assert!(keys.verify_proof(auth_message, &bytes(proof)));
    assert_eq!(keys.server_signature(auth_message), bytes(signature));
    let mut wrong = bytes(proof);
    wrong[3] ^= 1;
    assert!(!keys.verify_proof(auth_message, &wrong));
    assert!(!keys.verify_proof(auth_message, &bytes(proof)[1..]));
    assert!(!keys.verify_proof(b"other", &bytes(proof)));
    assert!(!keys.verify_proof(auth_message, b""));
}

#[test]
fn the_example_of_rfc_5802_is_verified() {
    check(
        Hash::Sha1,
        "QSXCR+Q6sek8bf92",
        "n=user,r=fyko+d2lbbFgONRv9qkxdawL,\
         r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,\
         c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    );
}

#[test]
fn the_example_of_rfc_7677_is_verified() {
    check(
        Hash::Sha256,
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        "n=user,r=rOprNGfwEbeRWgbNEkqO,\
         r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
         c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    );
}

#[test]
fn a_password_is_verified_in_every_spelling_that_means_the_same() {
    let credentials = Credentials::derive("caf\u{e9} cr\u{e8}me", b"salt", 10).unwrap();
    assert!(credentials.verify_password("cafe\u{301}\u{a0}cr\u{e8}me"));
    assert!(!credentials.verify_password("Caf\u{e9} cr\u{e8}me"));
    assert!(!credentials.verify_password(""));
    assert!(!credentials.verify_password("\u{7}"));
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        let keys = credentials.keys(hash);
        assert_eq!(
            (keys.hash, keys.stored_key.len()),
            (hash, hash.output_len())
        );
        assert!(keys.verify_password("caf\u{e9} cr\u{e8}me"));
    }
}

#[test]
fn an_empty_password_and_controls_are_refused() {
    for bad in ["", "a\nb", "\u{0}", "a\u{ad}b", "\u{378}"] {
        assert_eq!(
            Credentials::derive(bad, b"salt", 1),
            Err(BadPassword),
            "{bad:?}"
        );
    }
}

#[test]
fn the_stored_form_is_stable() {
    let keys = ScramKeys::derive(Hash::Sha1, "pencil", &bytes("QSXCR+Q6sek8bf92"), 4096).unwrap();
    let stored = serde_json::to_string(&keys).unwrap();
    assert_eq!(
        stored,
        r#"{"hash":"SHA-1","salt":"QSXCR+Q6sek8bf92","iterations":4096,"stored_key":"6dlGYMOdZcOPutkcNY8U2g7vK9Y=","server_key":"D+CSWLOshSulAsxiupA+qs2/fTE="}"#
    );
    assert_eq!(serde_json::from_str::<ScramKeys>(&stored).unwrap(), keys);
    assert!(serde_json::from_str::<ScramKeys>(&stored.replace("6dl", "6!l")).is_err());
}

#[test]
fn debug_output_shows_no_key() {
    let credentials = Credentials::derive("pencil", b"salt", 1).unwrap();
    assert_eq!(
        format!("{:?}", credentials.sha1),
        "ScramKeys { hash: Sha1, iterations: 1, .. }"
    );
    assert!(!format!("{credentials:?}").contains("key"));
}

#[test]
fn keys_that_are_locked_look_as_before_and_fit_no_password() {
    let keys = Credentials::derive("pencil", b"salt", 5).unwrap();
    let locked = keys.locked();
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        let (keys, locked) = (keys.keys(hash), locked.keys(hash));
        assert_eq!((&locked.salt, locked.iterations), (&keys.salt, 5));
        assert_eq!(locked.stored_key.len(), keys.stored_key.len());
        assert!(keys.verify_password("pencil") && !locked.verify_password("pencil"));
    }
}
