//! The keys of names that have no account: what a stranger sees of them is stable, and no password fits.

use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::{Credentials, Hash, ScramKeys};

use crate::config::SessionConfig;

/// The keys that this name pretends to have. Salt and iteration count follow from the name and the server's secret, so
/// that they are the same on every try and every node; the keys are as good as random.
pub(super) fn credentials(config: &SessionConfig, account: Option<&Jid>) -> Credentials {
    let account = account.map_or("", Jid::as_str);
    let derive = |what: &str| {
        let name = [what, "\0", account].concat();
        Hash::Sha512.hmac(&config.decoy_secret, name.as_bytes())
    };
    let choice = derive("iterations");
    let counts = &config.options.decoy_iterations;
    let iterations = match counts.len() {
        0 => FALLBACK_ITERATIONS,
        some => counts[usize::from(choice[0]) % some],
    };
    let salt = derive("salt")[..SALT_BYTES].to_vec();
    let (stored, server) = (derive("stored key"), derive("server key"));
    let keys = |hash: Hash, bytes: usize| ScramKeys {
        hash,
        salt: salt.clone(),
        iterations,
        stored_key: stored[..bytes].to_vec(),
        server_key: server[..bytes].to_vec(),
    };
    Credentials {
        sha1: keys(Hash::Sha1, 20),
        sha256: keys(Hash::Sha256, 32),
        sha512: keys(Hash::Sha512, 64),
    }
}

/// As long as the salts of accounts that are made here.
const SALT_BYTES: usize = 16;

/// Where the operator lists no count.
const FALLBACK_ITERATIONS: u32 = 10_000;
