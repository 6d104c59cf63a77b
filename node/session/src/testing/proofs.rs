//! Who has proved to be whom: a second opinion on each login, from the messages and the RFCs alone.

use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;

use super::scram::{First, HashName, base64, decoded, nonce_of};
use super::world::{Account, World, account};
use super::{Verdict, ensure};
use crate::carrier::AskId;

/// What was offered, and what was said in the login that is going on.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    pub(super) mechanisms: Vec<String>,
    pub(super) bindings: Vec<String>,
    login: Login,
}

/// One login, from `<auth/>` on.
#[derive(Debug, Default)]
struct Login {
    mechanism: String,
    /// The client's messages; what is no base64 is `None`.
    said: Vec<Option<Vec<u8>>>,
    challenge: Option<String>,
    /// The account whose keys were asked for.
    asked: Option<(AskId, Jid)>,
    /// Whether the shard gave them, once it answered.
    given: Option<bool>,
    verifying: Option<AskId>,
    /// Whether the password was found to be right.
    verified: bool,
}

impl Proofs {
    /// The client said something.
    pub(super) fn hear(&mut self, element: &Element) {
        match (element.ns(), element.name()) {
            (ns::SASL, "auth") => {
                self.login = Login {
                    mechanism: element.attr("mechanism").unwrap_or_default().to_owned(),
                    ..Login::default()
                };
                if !element.text().is_empty() {
                    self.login.said.push(message_of(element));
                }
            }
            (ns::SASL, "response") => self.login.said.push(message_of(element)),
            _ => {}
        }
    }

    /// The server said something.
    ///
    /// # Errors
    /// A challenge is not what the RFCs ask for.
    pub(super) fn see(&mut self, element: &Element, world: &World) -> Verdict {
        if element.is("features", ns::STREAMS) {
            let list = |name, ns| {
                element
                    .child(name, ns)
                    .into_iter()
                    .flat_map(Element::elements)
            };
            self.mechanisms = list("mechanisms", ns::SASL).map(Element::text).collect();
            self.bindings = list("sasl-channel-binding", ns::SASL_CHANNEL_BINDING)
                .map(|binding| binding.attr("type").unwrap_or_default().to_owned())
                .collect();
        }
        if element.is("challenge", ns::SASL) && !element.text().is_empty() {
            let text = decoded(&element.text()).and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or("a challenge is no text")?;
            self.check_keys()?;
            self.check_challenge(&text, world)?;
            self.login.challenge = Some(text);
        }
        Ok(())
    }

    /// The keys of an account are asked for.
    pub(super) fn asked(&mut self, ask: AskId, account: &Jid) {
        self.login.asked = Some((ask, account.clone()));
    }

    /// The shard gave keys, or has none.
    pub(super) fn answered(&mut self, ask: AskId, given: bool) {
        let current = self
            .login
            .asked
            .as_ref()
            .is_some_and(|(asked, _)| *asked == ask);
        if current && self.login.given.is_none() {
            self.login.given = Some(given);
        }
    }

    /// A password is to be verified.
    ///
    /// # Errors
    /// It is not known yet against which keys.
    pub(super) fn verifying(&mut self, ask: AskId) -> Verdict {
        self.login.verifying = Some(ask);
        self.check_keys()
    }

    /// Nothing is to be proved before the shard has answered this try; names that cannot exist are not asked for.
    fn check_keys(&self) -> Verdict {
        let known = self.login.asked.is_none() || self.login.given.is_some();
        ensure(known, "somebody else's keys are used")
    }

    /// It was verified.
    pub(super) fn verified(&mut self, ask: AskId, right: bool) {
        self.login.verified |= right && self.login.verifying == Some(ask);
    }

    /// Whether the client has proved to be this account.
    ///
    /// # Errors
    /// Why it has not.
    pub(super) fn justify(&self, jid: &Jid, world: &World) -> Verdict {
        let login = &self.login;
        let mechanism = &login.mechanism;
        ensure(
            self.mechanisms.contains(mechanism),
            "logged in with what was not offered",
        )?;
        let asked = login.asked.as_ref().is_some_and(|(_, asked)| asked == jid);
        ensure(
            asked && login.given == Some(true),
            "logged in without the account's keys",
        )?;
        let account = account(jid).ok_or("logged in to no account")?;
        let right = match HashName::of(mechanism) {
            Some(hash) => self.scram_is_right(hash, account, world).unwrap_or(false),
            None => login.verified && plain_is_right(login, account).unwrap_or(false),
        };
        ensure(right, "logged in without a right proof")
    }

    /// RFC 5802 3, 6, 7: `None` for messages that it does not know.
    fn scram_is_right(&self, hash: HashName, account: &Account, world: &World) -> Option<bool> {
        let [Some(first), Some(last)] = &self.login.said[..] else {
            return None;
        };
        let first = First::read(first)?;
        let challenge = self.login.challenge.as_deref()?;
        let (unproven, proof) = std::str::from_utf8(last).ok()?.rsplit_once(",p=")?;
        let bound = format!(
            "c={},r={}",
            self.binding_of(&first, world)?,
            nonce_of(challenge)?
        );
        let extensions = unproven.strip_prefix(&bound)?;
        let message = format!("{},{challenge},{unproven}", first.bare);
        Some(
            first.account(account.jid.domain())? == account.jid
                && is_own(first.authzid(), &account.jid)
                && (extensions.is_empty() || extensions.starts_with(','))
                && decoded(proof)? == hash.proof(account.password, &message),
        )
    }

    /// What `c=` must say in base64; `None` where the client was lied to, or lies.
    fn binding_of(&self, first: &First<'_>, world: &World) -> Option<String> {
        let mut binding = first.gs2_header.as_bytes().to_vec();
        let plus = self.login.mechanism.ends_with("-PLUS");
        match first.binding_name() {
            Some(name) if plus && self.bindings.iter().any(|offered| offered == name) => {
                binding.extend(world.binding_data(name)?);
            }
            None if !plus => {
                let offered = self.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
                if offered && first.gs2_header.starts_with('y') {
                    return None;
                }
            }
            _ => return None,
        }
        Some(base64(&binding))
    }

    /// The server's nonce goes on from the client's, salt and count follow, and XEP-0474 signs what was offered.
    fn check_challenge(&self, challenge: &str, world: &World) -> Verdict {
        let first = self.login.said.first().and_then(Option::as_deref);
        let first = first
            .and_then(First::read)
            .ok_or("a challenge to no message")?;
        let hash = HashName::of(&self.login.mechanism).ok_or("a challenge without a hash")?;
        let added = nonce_of(challenge).and_then(|nonce| nonce.strip_prefix(first.nonce));
        ensure(
            added.is_some_and(|added| added.len() >= NONCE_BYTES_MIN),
            "a nonce that can be guessed",
        )?;
        let names: Vec<&str> = challenge
            .split(',')
            .filter_map(|part| part.get(..2))
            .collect();
        let protects = world.config.options.downgrade_protection;
        let wanted: &[&str] = if protects {
            &["r=", "s=", "i=", "h="]
        } else {
            &["r=", "s=", "i="]
        };
        ensure(names == wanted, "a challenge of other attributes")?;
        let signed = challenge
            .split_once(",h=")
            .map(|(_, signed)| signed.to_owned());
        let offered = protects.then(|| base64(&hash.digest(self.offered().as_bytes())));
        ensure(signed == offered, "another offer was signed than was made")
    }

    /// XEP-0474: the offer as text.
    fn offered(&self) -> String {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.join("\u{1e}")
        };
        let mechanisms = sorted(&self.mechanisms);
        if self.bindings.is_empty() {
            return mechanisms;
        }
        format!("{mechanisms}\u{1f}{}", sorted(&self.bindings))
    }
}

/// RFC 4616: authzid, authcid and password.
fn plain_is_right(login: &Login, account: &Account) -> Option<bool> {
    let [Some(message)] = &login.said[..] else {
        return None;
    };
    let parts: Vec<&str> = std::str::from_utf8(message).ok()?.split('\0').collect();
    let [authzid, name, password] = parts[..] else {
        return None;
    };
    let claimed = Jid::from_parts(Some(name), account.jid.domain(), None).ok()?;
    let authzid = (!authzid.is_empty()).then(|| authzid.to_owned());
    let right = account.credentials.verify_password(password);
    Some(claimed == account.jid && is_own(authzid, &account.jid) && right)
}

/// Nobody acts for somebody else.
fn is_own(authzid: Option<String>, jid: &Jid) -> bool {
    authzid.is_none_or(|authzid| Jid::parse(&authzid).as_ref() == Ok(jid))
}

/// The decoded message; `None` for what is no base64.
fn message_of(element: &Element) -> Option<Vec<u8>> {
    match element.text().as_str() {
        "=" => Some(Vec::new()),
        text => decoded(text),
    }
}

/// Characters of base 32 for 80 bits, about as many as anybody sends.
const NONCE_BYTES_MIN: usize = 16;
