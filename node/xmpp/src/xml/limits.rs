//! What a reader accepts at most. Every limit is enforced before memory is taken for what is over
//! it.

crate::options! {
    /// Limits of what is read from a stream; a stream that goes over one ends with
    /// `policy-violation`.
    pub struct XmlLimits {
        /// One top-level element, both as it was written and in its canonical form, which an
        /// attacker can make a thousand times larger; also the stream header. 256 KiB carries
        /// avatars and OMEMO bundles; RFC 6120 13.12 forbids less than 10,000 bytes.
        pub stanza_bytes_max: usize = 256 * 1024, "bytes";
        /// Nesting, the stanza itself being 1: recursion of consumers and the reader's own stack
        /// are bounded by it.
        pub depth_max: usize = 64, "elements";
        /// Attributes of one element, namespace declarations included, as read and as written: they
        /// are compared with each other.
        pub attributes_max: usize = 64, "attributes";
        /// Prefixes in scope at any place: each use of a prefix looks through them.
        pub namespaces_max: usize = 64, "prefixes";
        /// Elements in one top-level element; 0 for no limit but that of the bytes.
        pub elements_max: usize = 0, "elements";
    }
}

impl XmlLimits {
    /// What a stranger may send before authentication: 8 KiB and 32 elements carry every SASL and
    /// registration exchange.
    pub fn before_authentication() -> Self {
        Self {
            stanza_bytes_max: 8 * 1024,
            elements_max: 32,
            ..Self::default()
        }
    }

    /// The defaults between servers, which carry what 256 KiB of a client became: 512 KiB.
    pub fn between_servers() -> Self {
        Self {
            stanza_bytes_max: 512 * 1024,
            ..Self::default()
        }
    }

    /// The same, but never so large that places in an element would not fit their 32 bits.
    pub(crate) fn bounded(self) -> Self {
        Self {
            stanza_bytes_max: self.stanza_bytes_max.min(STANZA_BYTES_CEILING),
            ..self
        }
    }

    /// Whether `count` elements are too many.
    pub(crate) fn too_many_elements(&self, count: usize) -> bool {
        self.elements_max != 0 && count > self.elements_max
    }
}

/// No configuration lets a larger element through.
const STANZA_BYTES_CEILING: usize = 64 * 1024 * 1024;

/// Names of elements, attributes and prefixes. Not an option: no protocol has names of this length,
/// and the canonical form could otherwise make a name (with a generated prefix) that the parser
/// refuses.
pub(crate) const NAME_BYTES_MAX: usize = 1024;
