//! What sessions are told when they begin: joined from the configuration and the live policy, and
//! replaced when either changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rookery_control::{Policy, RegistrationMode};
use rookery_router::environment::Environment;
use rookery_router::modules::caps;
use rookery_session::{HostConfig, SessionConfig, SessionOptions};
use tokio::sync::watch;

use crate::config::Config;

/// The settings of sessions that begin from now on. Clones change the same ones.
#[derive(Clone)]
pub struct SessionSettings(Arc<ArcSwap<SessionConfig>>);

impl SessionSettings {
    /// Settings for `hosts`, the first of which is the server's own name.
    pub fn new(
        config: &Config,
        hosts: &[String],
        environment: &Environment,
        decoy_secret: [u8; 32],
        policy: &Policy,
    ) -> Self {
        let registration = is_open(policy);
        let host = |domain: &String| HostConfig {
            domain: domain.clone(),
            registration,
            caps: Some(caps::feature(environment, domain)),
        };
        Self(Arc::new(ArcSwap::from_pointee(SessionConfig {
            hosts: hosts.iter().map(host).collect(),
            options: options(config),
            stanza_bytes_max: u32::try_from(config.xml.stanza_bytes_max).unwrap_or(u32::MAX),
            decoy_secret,
        })))
    }

    /// What the connection role reads for each new session.
    pub fn shared(&self) -> Arc<ArcSwap<SessionConfig>> {
        Arc::clone(&self.0)
    }

    /// Takes over the options of a configuration that was read again.
    pub fn reconfigure(&self, config: &Config, environment: &Environment) {
        let options = options(config);
        self.0.rcu(|old| {
            let mut next = SessionConfig::clone(old);
            next.options = options.clone();
            for host in &mut next.hosts {
                host.caps = Some(caps::feature(environment, &host.domain));
            }
            next
        });
    }

    /// Names without an account pretend to have salts by this secret from now on.
    pub fn set_decoy_secret(&self, secret: [u8; 32]) {
        self.0.rcu(|old| SessionConfig {
            decoy_secret: secret,
            ..SessionConfig::clone(old)
        });
    }

    /// Follows the policy, until the control group is gone.
    pub async fn follow(self, mut policy: watch::Receiver<Arc<Policy>>) {
        loop {
            let open = is_open(&policy.borrow_and_update());
            self.set_registration(open);
            if policy.changed().await.is_err() {
                return;
            }
        }
    }

    fn set_registration(&self, open: bool) {
        self.0.rcu(|old| {
            let mut next = SessionConfig::clone(old);
            next.hosts
                .iter_mut()
                .for_each(|host| host.registration = open);
            next
        });
    }
}

fn is_open(policy: &Policy) -> bool {
    policy.registration.mode != RegistrationMode::Closed
}

/// A name without an account must look like one that was made here.
fn options(config: &Config) -> SessionOptions {
    let mut options = config.session.clone();
    if !options
        .decoy_iterations
        .contains(&config.router.scram_iterations)
    {
        options
            .decoy_iterations
            .push(config.router.scram_iterations);
    }
    options
}

#[cfg(test)]
mod tests {
    use rookery_control::RegistrationPolicy;
    use rookery_router::modules::{Registry, all};
    use rookery_router::{Contact, ContactOptions, RouterOptions};
    use rookery_xmpp::clock::Timestamp;

    use super::*;

    fn policy(mode: RegistrationMode) -> Policy {
        let registration = RegistrationPolicy {
            mode,
            ..RegistrationPolicy::default()
        };
        Policy {
            registration: Arc::new(registration),
            ..Policy::default()
        }
    }

    fn settings(config: &Config) -> (SessionSettings, Arc<Environment>) {
        let (hosts, modules) = (["a.example".to_owned()], Registry::new(all()));
        let environment = Environment::new(
            hosts.clone(),
            [],
            RouterOptions::default(),
            modules,
            Timestamp(0),
        );
        let closed = policy(RegistrationMode::Closed);
        let settings = SessionSettings::new(config, &hosts, &environment, [7; 32], &closed);
        (settings, environment)
    }

    #[test]
    fn unknown_names_pretend_to_the_iterations_of_new_accounts() {
        let mut config = Config::default();
        config.router.scram_iterations = 4_096;
        let (settings, environment) = settings(&config);
        assert_eq!(settings.shared().load().options.decoy_iterations, [4_096]);
        config.router.scram_iterations = 20_000;
        config.session.decoy_iterations = vec![4_096];
        let before = settings.shared().load().hosts[0].caps.clone();
        let abuse = vec!["mailto:abuse@a.example".to_owned()];
        environment
            .contact
            .store(Arc::new(Contact::new(ContactOptions {
                abuse,
                ..ContactOptions::default()
            })));
        settings.reconfigure(&config, &environment);
        let now = settings.shared().load_full();
        assert_ne!(now.hosts[0].caps, before, "they tell whom to complain to");
        assert_eq!(now.options.decoy_iterations, [4_096, 20_000]);
        assert_eq!(
            (now.hosts[0].domain.as_str(), now.decoy_secret),
            ("a.example", [7; 32])
        );
    }

    #[tokio::test]
    async fn registration_is_offered_as_the_policy_has_it() {
        let (settings, _) = settings(&Config::default());
        let offered = || settings.shared().load().hosts[0].registration;
        assert!(!offered());
        let (sender, receiver) = watch::channel(Arc::new(policy(RegistrationMode::On)));
        let following = tokio::spawn(settings.clone().follow(receiver));
        let until = async |wanted: bool| {
            while offered() != wanted {
                tokio::task::yield_now().await;
            }
        };
        until(true).await;
        sender.send_replace(Arc::new(policy(RegistrationMode::Closed)));
        until(false).await;
        drop(sender);
        following.await.unwrap();
    }
}
