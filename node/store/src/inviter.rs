//! Who invited an account. It is said when the account is made, and stays.

use std::collections::BTreeMap;

use rookery_xmpp::jid::Jid;

use crate::codec;
use crate::error::StoreError;

/// By whose invitation an account was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inviter {
    /// The user, by the bare JID; none for an operator.
    pub user: Option<Jid>,
    /// Whether that user and the account are each other's contacts from the start (XEP-0401 3.3.2).
    pub contact: bool,
}

impl Inviter {
    /// Who it is, for operators and logs.
    pub fn as_str(&self) -> &str {
        self.user.as_ref().map_or("operator", Jid::as_str)
    }

    /// Notes it among the details of the account: so databases need no column for it, and a router of an earlier build,
    /// which knows nothing of it, keeps it as it keeps them.
    pub(crate) fn put(self, details: &mut BTreeMap<String, String>) {
        let user = self.user.map(|user| user.as_str().to_owned());
        details.insert(USER.to_owned(), user.unwrap_or_default());
        if self.contact {
            details.insert(CONTACT.to_owned(), String::new());
        }
    }

    /// Takes it out of them.
    pub(crate) fn take(details: &mut BTreeMap<String, String>) -> Result<Option<Self>, StoreError> {
        let contact = details.remove(CONTACT).is_some();
        let user = match details.remove(USER) {
            None => return Ok(None),
            Some(user) if user.is_empty() => None,
            Some(user) => Some(codec::jid(&user)?),
        };
        Ok(Some(Self { user, contact }))
    }
}

/// The detail with the inviter's bare JID; empty for an operator. No field of a form has a name with a colon.
const USER: &str = ":inviter";

/// The detail that is there if the inviter is to be a contact.
const CONTACT: &str = ":contact";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inviter_is_found_among_the_details_and_leaves_them_as_they_were() {
        let filled = BTreeMap::from([("email".to_owned(), "a@b.example".to_owned())]);
        let romeo = Jid::parse("romeo@montague.example").expect("a JID");
        for user in [None, Some(romeo)] {
            for contact in [false, true] {
                let inviter = Inviter {
                    user: user.clone(),
                    contact,
                };
                let mut details = filled.clone();
                inviter.clone().put(&mut details);
                assert_eq!(Inviter::take(&mut details), Ok(Some(inviter)));
                assert_eq!(details, filled);
            }
        }
        let mut details = filled.clone();
        assert_eq!(Inviter::take(&mut details), Ok(None));
        assert_eq!(details, filled);
    }
}
