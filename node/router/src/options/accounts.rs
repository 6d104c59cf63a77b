//! The section `[accounts]`.

use rookery_xmpp::options;
use rookery_xmpp::units::Span;

options! {
    /// What becomes of accounts that are removed. In a cluster each router goes by its own file: keep them equal.
    pub struct AccountOptions {
        /// How long an account that its owner or an operator has removed can be restored with all that it had
        /// (`rookery admin users restore`), before it is deleted; `0s` deletes at once. Meanwhile nobody logs in to it,
        /// nothing is stored for it, and nobody else gets its name. A week is long enough to notice that somebody else
        /// has done it with a stolen password, and short enough for those who want to be forgotten. At most `1000h`.
        pub removal_grace: Span = Span::from_ms(604_800_000), "";
    }
}
