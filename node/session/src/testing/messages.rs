//! SASL messages as somebody else's bytes: through the parsers, and through a login.

use rookery_xmpp::entropy::{Entropy, Seeded};

use super::choices::Choices;
use super::client::Client;
use super::corpus::{self, FINAL, FIRST, MECHANISMS, PLAIN};
use super::mover::Mover;
use super::words;
use super::world::World;
use super::{Reached, Verdict};
use crate::sasl;

/// No message makes a parser panic, and what is understood reads the same again.
///
/// # Errors
/// What does not hold.
pub fn check_message(message: &[u8]) -> Verdict {
    sasl::check_parsers(message)
}

/// Logs in with the messages in `data`: its first byte chooses the mechanism, LF stands between two messages. A last
/// message may be a template of the corpus.
///
/// # Errors
/// What does not hold.
pub fn check_messages(data: &[u8]) -> Result<Reached, String> {
    let [mechanism, messages @ ..] = data else {
        return Ok(Reached::default());
    };
    let mechanism = MECHANISMS[usize::from(*mechanism) % MECHANISMS.len()];
    let mut entropy = Seeded::new(1);
    let mut mover = Mover::accept(World::open(), Choices::orderly(&mut entropy))?;
    while mover.work()? {}
    let host = mover.world.host;
    mover.receive(&words::open(Some(host), None))?;
    let mut client = Client::default();
    for message in messages.split(|byte| *byte == b'\n').take(MESSAGES_MAX) {
        check_message(message)?;
        while let Some(seen) = mover.see() {
            client.see(&seen);
        }
        let said = client.say(message, mechanism, &mover.world);
        mover.receive(&said)?;
        while mover.work()? {}
    }
    Ok(mover.reached())
}

/// A case for [`check_messages`] out of the corpus, spoiled or not.
pub fn make_messages(entropy: &mut dyn Entropy) -> Vec<u8> {
    let mut choices = Choices::orderly(entropy);
    let mechanism = choices.below(MECHANISMS.len());
    let mut data = vec![mechanism as u8];
    for _ in 0..=choices.below(2) {
        let corpora: &[&[&[u8]]] = match MECHANISMS[mechanism] {
            "PLAIN" => &[PLAIN],
            _ => &[FIRST, FINAL],
        };
        for corpus in corpora {
            // The first of each is right, and most are to come as far as the second.
            let at = if choices.either() {
                0
            } else {
                choices.below(corpus.len())
            };
            let mut message = corpus[at].to_vec();
            if choices.below(3) == 1 {
                corpus::spoil(&mut choices, &mut message);
            }
            data.extend(message);
            data.push(b'\n');
        }
    }
    data.pop();
    data
}

/// More than a stream lets fail.
const MESSAGES_MAX: usize = 16;
