//! What an operator grants a stream, and to whom nothing is counted.

use std::collections::BTreeSet;

use rookery_xmpp::jid::Jid;
use rookery_xmpp::units::{Rate, Span};

rookery_xmpp::options! {
    /// How fast one stream is read. Reading stops while it was faster, and nothing is dropped. All of it holds without
    /// a restart, for streams that are open too.
    pub struct BandwidthOptions {
        /// How fast a client's stream is read, after TLS, as in `10kb/s`; `off` for no limit. Text needs little: this
        /// slows floods, not people.
        pub client_rate: Rate = Rate::new(10_000), "";
        /// How long a burst at that rate may be, so that a login or a pasted page is not slowed.
        pub client_burst: Span = Span::from_ms(2_000), "";
        /// Stanzas and other elements that are read from a client's stream a second, whatever their size; 0 for no
        /// limit. A short message is some 100 bytes, so at `client_rate` only floods of smaller ones meet it.
        pub client_stanzas_per_second: u32 = 100, "stanzas/s";
        /// Stanzas at once beyond that: a client that comes online asks for much, and every one is answered.
        pub client_stanzas_burst: u32 = 400, "stanzas";
        /// How fast a stream is read that another server opened; `off` for no limit. It is there for federation, which
        /// this version does not have. One such stream carries many people.
        pub server_in_rate: Rate = Rate::new(30_000), "";
        /// How long a burst at that rate may be: rooms send their history at once.
        pub server_in_burst: Span = Span::from_ms(3_000), "";
        /// How fast a stream is read that this server opened to another, as far as that one answers on it; `off` for no
        /// limit. It is there for federation, which this version does not have.
        pub server_out_rate: Rate = Rate::new(30_000), "";
        /// How long a burst at that rate may be, for the same reason as with streams that others open.
        pub server_out_burst: Span = Span::from_ms(3_000), "";
        /// Accounts (`bot@example.org`) and domains, with all their accounts, that are read without any limit, and take
        /// from no budget of `[quota]`. It holds once they have logged in: before, everybody is a stranger.
        pub exempt: Vec<String> = Vec::new(), "";
    }
}

/// Who is exempt, ready to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt(BTreeSet<Jid>);

impl Exempt {
    /// Those of the options. A text that is no address exempts nobody: a configuration with one is refused before.
    pub fn new(options: &BandwidthOptions) -> Self {
        let texts = options.exempt.iter();
        Self(texts.filter_map(|text| exempt_jid(text)).collect())
    }

    /// Whether an account's streams are read without limit.
    pub fn contains(&self, jid: &Jid) -> bool {
        !self.0.is_empty() && (self.0.contains(&jid.to_bare()) || self.0.contains(&jid.to_domain()))
    }
}

/// The account or domain that an entry of [`BandwidthOptions::exempt`] names; none if it is neither.
pub fn exempt_jid(text: &str) -> Option<Jid> {
    text.parse::<Jid>().ok().filter(Jid::is_bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exempt(texts: &[&str]) -> Exempt {
        Exempt::new(&BandwidthOptions {
            exempt: texts.iter().map(|text| (*text).to_owned()).collect(),
            ..BandwidthOptions::default()
        })
    }

    #[test]
    fn accounts_and_whole_domains_are_exempt_with_all_their_sessions() {
        let exempt = exempt(&["Bot@a.example", "b.example", "juliet@a.example/balcony"]);
        let has = |jid: &str| exempt.contains(&jid.parse().unwrap());
        assert!(has("bot@a.example") && has("bot@a.example/x"));
        assert!(has("anybody@b.example/x") && has("b.example"));
        assert!(!has("juliet@a.example/balcony"), "a session is nobody");
        assert!(!has("bots@a.example") && !has("a.example"));
    }
}
