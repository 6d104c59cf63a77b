//! Where the parts of an address begin and end, and the one pass that nearly every address takes.

use super::{JID_BYTES_MAX, Jid, PART_BYTES_MAX};

/// Lengths found by [`scan_prepared`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lengths {
    /// Of the localpart; 0 without one.
    pub(super) local: u16,
    /// Of the address without its resource.
    pub(super) bare: u16,
}

/// Whether this text is an address and already in its prepared form. Costs no allocation when it is
/// and is ASCII.
pub fn is_prepared(text: &str) -> bool {
    scan_prepared(text).is_some() || Jid::parse(text).is_ok_and(|jid| jid.as_str() == text)
}

/// The address without its resource, of an address in text (RFC 7622 3.1: up to the first `/`).
pub fn bare_of(text: &str) -> &str {
    memchr::memchr(b'/', text.as_bytes()).map_or(text, |at| &text[..at])
}

/// Splits by RFC 7622 3.1: the resource is all behind the first `/`, the local part all before the
/// first `@` of the rest.
pub(super) fn split(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (bare, resource) = match text.split_once('/') {
        Some((bare, resource)) => (bare, Some(resource)),
        None => (text, None),
    };
    match bare.split_once('@') {
        Some((local, domain)) => (Some(local), domain, resource),
        None => (None, bare, resource),
    }
}

/// The lengths of an ASCII address that preparation would not change. `None` says nothing: the long
/// way decides.
pub(super) fn scan_prepared(text: &str) -> Option<Lengths> {
    let bytes = text.as_bytes();
    if bytes.len() > JID_BYTES_MAX {
        return None;
    }
    let mut local = bytes
        .iter()
        .position(|&byte| !is(byte, LOCAL))
        .unwrap_or(bytes.len());
    let mut domain_start = 0;
    if bytes.get(local) != Some(&b'@') {
        local = 0;
    } else if local == 0 || local > PART_BYTES_MAX {
        return None;
    } else {
        domain_start = local + 1;
    }
    let at = domain_start + plain_domain_len(&bytes[domain_start..])?;
    let resource = &bytes[at..];
    if !resource.is_empty() && !is_plain_resource(resource) {
        return None;
    }
    Some(Lengths {
        local: u16::try_from(local).ok()?,
        bare: u16::try_from(at).ok()?,
    })
}

/// Whether preparation would leave this localpart as it is, told by ASCII alone.
pub(super) fn is_plain_local(local: &[u8]) -> bool {
    !local.is_empty() && local.iter().all(|&byte| is(byte, LOCAL))
}

/// Whether preparation would leave this domain as it is, told by ASCII alone.
pub(super) fn is_plain_domain(domain: &[u8]) -> bool {
    plain_domain_len(domain) == Some(domain.len())
}

/// The length of the domain at the front, if nobody need look closer: lower-case letters and digits
/// with single dots and hyphens between them (so no A-label), in all no longer than one label may
/// be.
fn plain_domain_len(bytes: &[u8]) -> Option<usize> {
    let mut after_separator = true;
    let mut length = 0;
    for &byte in bytes.iter().take_while(|byte| is(**byte, DOMAIN)) {
        let separator = matches!(byte, b'.' | b'-');
        if separator && after_separator {
            return None;
        }
        after_separator = separator;
        length += 1;
    }
    (!after_separator && length <= LABEL_BYTES_MAX).then_some(length)
}

fn is_plain_resource(with_slash: &[u8]) -> bool {
    let Some(resource) = with_slash.strip_prefix(b"/") else {
        return false;
    };
    let fits = !resource.is_empty() && resource.len() <= PART_BYTES_MAX;
    // Without an early end the compiler looks at many bytes at once.
    fits && resource
        .iter()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;
const LABEL_BYTES_MAX: usize = 63;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        let here = byte as u8;
        let excluded = matches!(here, b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@');
        if !excluded && !here.is_ascii_uppercase() {
            classes[byte] |= LOCAL;
        }
        if here.is_ascii_lowercase() || here.is_ascii_digit() || here == b'-' || here == b'.' {
            classes[byte] |= DOMAIN;
        }
        byte += 1;
    }
    classes
};
