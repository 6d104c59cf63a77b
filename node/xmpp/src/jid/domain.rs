//! The domainpart (RFC 7622 3.2).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::split::is_plain_domain;
use super::{JidError, PART_BYTES_MAX};

/// Prepares a domainpart: a domain name (also `localhost` and IPv4) to lower-case U-labels by UTS
/// 46 with the rules of STD 3, so without underscores, wildcards or empty labels; an IPv6 literal
/// in brackets to its shortest form. A final dot is dropped.
///
/// # Errors
/// [`JidError::EmptyDomain`], [`JidError::BadDomain`] or [`JidError::TooLong`].
pub fn prepare_domain(domain: &str) -> Result<Cow<'_, str>, JidError> {
    if is_plain_domain(domain.as_bytes()) {
        return Ok(Cow::Borrowed(domain));
    }
    match domain.as_bytes() {
        [] => return Err(JidError::EmptyDomain),
        [b'[', ..] => return ipv6(domain).map(Cow::Owned),
        long if long.len() > PART_BYTES_MAX => return Err(JidError::TooLong),
        _ => {}
    }
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::VerifyAllowRootDot,
        )
        .map_err(|_| JidError::BadDomain)?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let (unicode, valid) = Uts46::new().to_unicode(
        ascii.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
    );
    valid.map_err(|_| JidError::BadDomain)?;
    match unicode.len() {
        0 => Err(JidError::EmptyDomain),
        1..=PART_BYTES_MAX => Ok(Cow::Owned(unicode.into_owned())),
        _ => Err(JidError::TooLong),
    }
}

fn ipv6(literal: &str) -> Result<String, JidError> {
    let inside = literal
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = inside.and_then(|inside| inside.parse::<Ipv6Addr>().ok());
    address
        .map(|address| format!("[{address}]"))
        .ok_or(JidError::BadDomain)
}
