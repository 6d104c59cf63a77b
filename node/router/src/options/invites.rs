//! Whom users may invite.

use rookery_xmpp::units::Span;
use serde::{Deserialize, Serialize};

rookery_xmpp::options! {
    /// Invitations that users make (XEP-0401). Operators make theirs by `rookery admin invites`, and by the same
    /// commands as users if they are in `server.admins`.
    pub struct InviteOptions {
        /// `nobody`; `contacts`: each user may invite people who become the user's contacts; `accounts`: or make
        /// accounts for others, under a name of the user's choice. Whoever lets users invite lets one spammer bring
        /// others, so many at a time as the next option says.
        pub by_users: InvitesBy = InvitesBy::Nobody, "";
        /// Invitations that one user may have that have not ended, used or not: in each `life` so many accounts at
        /// most come by one user.
        pub per_user_max: u32 = 5, "invitations";
        /// How long a user's invitation lasts.
        pub life: Span = Span::from_ms(7 * 86_400_000), "";
    }
}

/// What users may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitesBy {
    /// Nothing.
    Nobody,
    /// Invite contacts.
    Contacts,
    /// Invite contacts, and make accounts for others.
    Accounts,
}

/// What modules need to know to make an invitation.
#[derive(Clone, Debug, Default)]
pub struct InviteSettings {
    /// The options.
    pub options: InviteOptions,
    /// Where the pages about invitations are; empty if there are none.
    pub base_url: String,
}
