//! Faults that tests plant into the fast lane, each of which the comparison of the lanes must find:
//! a comparison that finds nothing proves something only if it would have found these.

#![cfg_attr(
    not(feature = "testing"),
    expect(dead_code, unreachable_pub, reason = "only test builds plant faults")
)]

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// U+FFFE and U+FFFF pass.
    NoncharactersPass,
    /// Bytes that are not UTF-8 pass.
    Utf8Unchecked,
    /// `]]>` passes in text.
    SectionEndPasses,
    /// Two attributes of one name pass.
    DuplicatesPass,
    /// End tags are not compared with start tags.
    EndTagsUnchecked,
    /// A repeated `xmlns` stays.
    RepeatedNamespaceKept,
    /// CRLF becomes two line ends.
    LineEndDoubled,
    /// The two reserved namespace names pass.
    ReservedNamesPass,
    /// The other content namespace passes under content.
    OtherContentPasses,
    /// A child's end is off by one.
    ChildEndsEarly,
    /// White space in an end tag stays.
    SpaceInEndTagKept,
    /// A token is tried again at every new byte.
    GateAlwaysOpen,
    /// The header of the stanza keeps the client's `from`.
    OwnFromKept,
    /// A reference stays as it was written.
    ReferencesKept,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NoncharactersPass,
        Self::Utf8Unchecked,
        Self::SectionEndPasses,
        Self::DuplicatesPass,
        Self::EndTagsUnchecked,
        Self::RepeatedNamespaceKept,
        Self::LineEndDoubled,
        Self::ReservedNamesPass,
        Self::OtherContentPasses,
        Self::ChildEndsEarly,
        Self::SpaceInEndTagKept,
        Self::GateAlwaysOpen,
        Self::OwnFromKept,
        Self::ReferencesKept,
    ];
}

#[cfg(feature = "testing")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault on this thread, or none.
#[cfg(feature = "testing")]
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether this fault is planted; never outside of test builds.
#[cfg(feature = "testing")]
pub(crate) fn planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Whether this fault is planted; never outside of test builds.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}
