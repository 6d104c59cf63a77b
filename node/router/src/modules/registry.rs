//! All modules, and who takes part in what.

use std::collections::HashMap;

use bytes::Bytes;
use rookery_session::carrier::SessionId;
use rookery_xmpp::stanza::parse_rec;

use super::{Flow, Hook, Info, Iq, IqRoute, Module, Outcome, Phase, Place, Stanza};
use crate::account::{Account, Session};
use crate::shard::Turn;

/// Every module of this server. A new XEP is one file and one line here.
pub fn all() -> Vec<Box<dyn Module>> {
    vec![
        Box::new(super::archive::Archive),
        Box::new(super::archive_preferences::ArchivePreferences),
        Box::new(super::bits_of_binary::BitsOfBinary),
        Box::new(super::blocking::Blocking),
        Box::new(super::caps::Caps),
        Box::new(super::captcha::Captcha),
        Box::new(super::carbons::Carbons),
        Box::new(super::commands::Commands),
        Box::new(super::contact_addresses::ContactAddresses),
        Box::new(super::delayed_delivery::DelayedDelivery),
        Box::new(super::disco::Disco),
        Box::new(super::extended_disco::ExtendedDisco),
        Box::new(super::invites::Invites),
        Box::new(super::last_activity::LastActivity),
        Box::new(super::media_element::MediaElement),
        Box::new(super::offline_messages::OfflineMessages),
        Box::new(super::ping::Ping),
        Box::new(super::preauth::Preauth),
        Box::new(super::private_xml::PrivateXml),
        Box::new(super::registration::Registration),
        Box::new(super::reporting::Reporting),
        Box::new(super::result_sets::ResultSets),
        Box::new(super::retraction::MessageRetraction),
        Box::new(super::server_info::PubsubServerInfo),
        Box::new(super::stanza_ids::StanzaIds),
        Box::new(super::time::Time),
        Box::new(super::vcard::VCard),
        Box::new(super::vcard_avatar::VCardAvatar),
        Box::new(super::version::Version),
    ]
}

/// The modules, indexed by what they take part in.
pub struct Registry {
    modules: Vec<Box<dyn Module>>,
    /// By namespace, since most IQs that come have one that nobody else has.
    iq: HashMap<&'static str, Vec<(IqRoute, usize)>>,
    submit: Vec<usize>,
    arrive: Vec<usize>,
    loaded: Vec<usize>,
    session_bound: Vec<usize>,
    session_ended: Vec<usize>,
    presence_changed: Vec<usize>,
}

impl Registry {
    /// Indexes the modules.
    ///
    /// # Panics
    ///
    /// When two modules claim the same IQ: a mistake in the source, found by every test.
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        let mut iq: HashMap<_, Vec<(IqRoute, usize)>> = HashMap::new();
        for (at, module) in modules.iter().enumerate() {
            for route in module.iq_routes() {
                let routes = iq.entry(route.namespace).or_default();
                assert!(
                    routes.iter().all(|(other, _)| other != route),
                    "two modules answer {route:?}"
                );
                routes.push((*route, at));
            }
        }
        let joined = |hook| joined(&modules, hook);
        Self {
            iq,
            submit: joined(Hook::Submit),
            arrive: joined(Hook::Arrive),
            loaded: joined(Hook::Loaded),
            session_bound: joined(Hook::SessionBound),
            session_ended: joined(Hook::SessionEnded),
            presence_changed: joined(Hook::PresenceChanged),
            modules,
        }
    }

    /// What is implemented, by number.
    pub fn infos(&self) -> Vec<&'static Info> {
        let mut infos: Vec<_> = self.modules.iter().map(|module| module.info()).collect();
        infos.sort_by_key(|info| info.xep);
        infos
    }

    /// All features shown at a place, sorted.
    pub fn features(&self, place: Place) -> Vec<&'static str> {
        let mut features: Vec<_> = self
            .modules
            .iter()
            .flat_map(|module| module.features(place))
            .copied()
            .collect();
        features.sort_unstable();
        features.dedup();
        features
    }

    /// Answers an IQ; `None` when no module knows it.
    pub fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Option<Outcome> {
        let routes = self.iq.get(iq.payload.ns())?;
        let (_, at) = routes.iter().find(|(route, _)| {
            route.place == iq.place
                && route.stanza_type == iq.stanza_type
                && route.name == iq.payload.name()
        })?;
        Some(self.modules[*at].iq(account, turn, iq))
    }

    /// Runs [`Hook::Submit`]. A module that replaces the stanza shows the new one to those behind
    /// it; the last one is what comes back.
    pub fn submit(&self, account: &mut Account, turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        self.pass(&self.submit, stanza, |module, stanza| {
            module.submit(account, turn, stanza)
        })
    }

    /// Runs [`Hook::Arrive`], in the same way.
    pub fn arrive(&self, account: &mut Account, turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        self.pass(&self.arrive, stanza, |module, stanza| {
            module.arrive(account, turn, stanza)
        })
    }

    fn pass(
        &self,
        joined: &[usize],
        stanza: Stanza<'_>,
        mut show: impl FnMut(&dyn Module, Stanza<'_>) -> Flow,
    ) -> Flow {
        for (done, at) in joined.iter().enumerate() {
            match show(&*self.modules[*at], stanza) {
                Flow::Continue => {}
                Flow::Replace(bytes) => {
                    return self.pass_replaced(&joined[done + 1..], stanza, bytes, show);
                }
                end => return end,
            }
        }
        Flow::Continue
    }

    fn pass_replaced(
        &self,
        behind: &[usize],
        stanza: Stanza<'_>,
        mut bytes: Bytes,
        mut show: impl FnMut(&dyn Module, Stanza<'_>) -> Flow,
    ) -> Flow {
        for at in behind {
            let Some(rec) = parse_rec(&bytes) else {
                return Flow::Continue;
            };
            let replaced = Stanza {
                buf: &bytes,
                rec,
                ..stanza
            };
            match show(&*self.modules[*at], replaced) {
                Flow::Continue => {}
                Flow::Replace(next) => bytes = next,
                end => return end,
            }
        }
        Flow::Replace(bytes)
    }

    /// Runs [`Hook::Loaded`].
    pub fn loaded(&self, account: &mut Account, documents: &[(String, Bytes)]) {
        self.loaded
            .iter()
            .for_each(|at| self.modules[*at].loaded(account, documents));
    }

    /// Runs [`Hook::SessionBound`].
    pub fn session_bound(&self, account: &mut Account, turn: &mut Turn<'_>, session: SessionId) {
        for at in &self.session_bound {
            self.modules[*at].session_bound(account, turn, session);
        }
    }

    /// Runs [`Hook::SessionEnded`].
    pub fn session_ended(&self, account: &mut Account, turn: &mut Turn<'_>, session: &Session) {
        for at in &self.session_ended {
            self.modules[*at].session_ended(account, turn, session);
        }
    }

    /// Runs [`Hook::PresenceChanged`].
    pub fn presence_changed(&self, account: &mut Account, turn: &mut Turn<'_>, session: SessionId) {
        for at in &self.presence_changed {
            self.modules[*at].presence_changed(account, turn, session);
        }
    }
}

/// The modules that joined a hook, in the order of their phases.
fn joined(modules: &[Box<dyn Module>], hook: Hook) -> Vec<usize> {
    let mut joined: Vec<(Phase, usize)> = modules
        .iter()
        .enumerate()
        .flat_map(|(at, module)| module.hooks().iter().map(move |entry| (entry, at)))
        .filter(|((joined, _), _)| *joined == hook)
        .map(|((_, phase), at)| (*phase, at))
        .collect();
    joined.sort_unstable();
    joined.into_iter().map(|(_, at)| at).collect()
}
