//! Whom people reach when they write to the server itself: its contact addresses, and its mailboxes.

use std::collections::BTreeSet;
use std::sync::Arc;

use rookery_xmpp::jid::Jid;
use rookery_xmpp::options;

options! {
    /// How people reach whoever runs the server (XEP-0157), and who gets what is written to it. The addresses are URIs:
    /// `mailto:abuse@example.org`, `xmpp:juliet@example.org`, `https://example.org/abuse`. In a cluster keep the files
    /// equal.
    pub struct ContactOptions {
        /// For complaints about abuse. A server that is open to strangers must have one: without it other operators can
        /// only block the whole server.
        pub abuse: Vec<String> = Vec::new(), "";
        /// For the administrators.
        pub admin: Vec<String> = Vec::new(), "";
        /// For what users think of the service.
        pub feedback: Vec<String> = Vec::new(), "";
        /// For sales and marketing, where there is any.
        pub sales: Vec<String> = Vec::new(), "";
        /// For those who have found a hole.
        pub security: Vec<String> = Vec::new(), "";
        /// Where one looks whether the service is up.
        pub status: Vec<String> = Vec::new(), "";
        /// For those who need help.
        pub support: Vec<String> = Vec::new(), "";
        /// Accounts of this server that get messages to the mailboxes below and to the hosts themselves. Nobody sees
        /// who they are. Empty for no mailboxes.
        pub mailbox_jids: Vec<String> = Vec::new(), "";
        /// Names under which the server is written to, as RFC 2142 and XEP-0157 have them. Where there is an account
        /// with such a name, it gets its own messages.
        pub mailboxes: Vec<String> = MAILBOXES.map(str::to_owned).to_vec(), "";
        /// Whether registration may be open to strangers without an address in `abuse`: for tests, and servers that
        /// nobody else can reach.
        pub forced: bool = false, "";
    }
}

impl ContactOptions {
    /// The kinds of addresses by their names in XEP-0157.
    pub fn kinds(&self) -> [(&'static str, &[String]); 7] {
        [
            ("abuse-addresses", &self.abuse),
            ("admin-addresses", &self.admin),
            ("feedback-addresses", &self.feedback),
            ("sales-addresses", &self.sales),
            ("security-addresses", &self.security),
            ("status-addresses", &self.status),
            ("support-addresses", &self.support),
        ]
    }

    /// Whether registration may be open to strangers.
    pub fn allows_strangers(&self) -> bool {
        self.forced || !self.abuse.is_empty()
    }
}

/// The options, ready to be used.
#[derive(Debug, Default)]
pub struct Contact {
    /// As they were given.
    pub options: ContactOptions,
    mailboxes: BTreeSet<String>,
    recipients: Vec<Arc<Jid>>,
}

impl Contact {
    /// Accounts that get what is written to the mailboxes: each message becomes as many.
    pub const RECIPIENTS_MAX: usize = 16;

    /// Makes options ready. What cannot be used is left out; the checks of the configuration have refused it.
    pub fn new(options: ContactOptions) -> Self {
        let prepared = |name: &String| {
            let jid = Jid::from_parts(Some(name), "localhost", None).ok()?;
            jid.local().map(str::to_owned)
        };
        let recipients = options.mailbox_jids.iter();
        let recipients = recipients.filter_map(|jid| jid.parse::<Jid>().ok());
        Self {
            mailboxes: options.mailboxes.iter().filter_map(prepared).collect(),
            recipients: recipients
                .take(Self::RECIPIENTS_MAX)
                .map(Arc::new)
                .collect(),
            options,
        }
    }

    /// Who gets what is written to this address of ours, where no account is: to a host, or a mailbox. Nobody if it is
    /// neither.
    pub fn recipients(&self, to: &Jid) -> &[Arc<Jid>] {
        let is_mailbox = to.local().is_none_or(|name| self.mailboxes.contains(name));
        match is_mailbox {
            true => &self.recipients,
            false => &[],
        }
    }
}

/// RFC 2142 3 to 5, as far as somebody may look for it at a chat server, and `xmpp` of XEP-0157 2.
const MAILBOXES: [&str; 12] = [
    "abuse",
    "admin",
    "feedback",
    "hostmaster",
    "info",
    "noc",
    "postmaster",
    "sales",
    "security",
    "support",
    "webmaster",
    "xmpp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_and_hosts_are_read_by_the_same_accounts() {
        let contact = Contact::new(ContactOptions {
            mailbox_jids: vec!["juliet@a.example".into(), "@".into()],
            ..ContactOptions::default()
        });
        for (to, count) in [
            ("Abuse@a.example", 1),
            ("xmpp@b.example/x", 1),
            ("a.example", 1),
            ("abuser@a.example", 0),
        ] {
            let to = Jid::parse(to).unwrap();
            assert_eq!(contact.recipients(&to).len(), count, "{to}");
        }
        let nobody = Contact::default();
        assert!(
            nobody
                .recipients(&Jid::parse("abuse@a.example").unwrap())
                .is_empty()
        );
    }

    #[test]
    fn strangers_need_somebody_to_complain_to() {
        let mut options = ContactOptions::default();
        assert!(!options.allows_strangers());
        options.forced = true;
        assert!(options.allows_strangers());
        let abuse = vec!["mailto:abuse@a.example".to_owned()];
        let options = ContactOptions {
            abuse,
            ..ContactOptions::default()
        };
        assert!(options.allows_strangers());
    }
}
