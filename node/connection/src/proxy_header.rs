//! The PROXY protocol, versions 1 and 2: what a load balancer says in front of a client's first byte.
//!
//! A machine without IO. It says how many bytes may be read without passing the header's end, so that none of the
//! client's are taken, and it takes [`HEADER_BYTES_MAX`] at most. It is strict: what it does not know is refused, for a
//! header that is misread puts one client into another's place.
//!
//! ```text
//! v1: PROXY TCP4|TCP6 <source> <destination> <port> <port>\r\n      PROXY UNKNOWN …\r\n
//! v2: \r\n\r\n\0\r\nQUIT\n, version and command, family, length (2 bytes), addresses, fields that are passed over
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many bytes at most may be read now.
    More(usize),
    /// It is complete: the client's address, or none where the proxy speaks for itself (health checks).
    Done(Option<IpAddr>),
}

/// Why there is no header. The operator's to solve: the proxy is configured otherwise than this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The first bytes are no header's.
    #[error("no PROXY header in front of the stream")]
    Missing,
    /// It is longer than any of its kind.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It breaks the rules of its version.
    #[error("the PROXY header is broken: {0}")]
    Broken(&'static str),
}

/// A header that is being read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyHeader {
    bytes: Vec<u8>,
}

impl ProxyHeader {
    /// How many bytes to read first.
    pub(crate) const FIRST: usize = SIGNATURE.len();

    /// Takes in what was read, no more than was allowed.
    pub(crate) fn push(&mut self, read: &[u8]) -> Result<Progress, ProxyError> {
        self.bytes.extend_from_slice(read);
        let start = &self.bytes[..self.bytes.len().min(SIGNATURE.len())];
        if SIGNATURE.starts_with(start) {
            self.second()
        } else if start.starts_with(WORD) || WORD.starts_with(start) {
            self.first()
        } else {
            Err(ProxyError::Missing)
        }
    }

    fn first(&self) -> Result<Progress, ProxyError> {
        let bytes = &self.bytes;
        if bytes.ends_with(b"\r\n") {
            return self.line().map(Progress::Done);
        }
        if bytes.len() >= LINE_BYTES_MAX {
            return Err(ProxyError::TooLong);
        }
        Ok(Progress::More(match bytes.last() {
            Some(b'\r') => 1,
            // The end has two bytes that are not there yet.
            _ => LINE_BYTES_MIN.saturating_sub(bytes.len()).max(2),
        }))
    }

    fn line(&self) -> Result<Option<IpAddr>, ProxyError> {
        let text = std::str::from_utf8(&self.bytes[..self.bytes.len() - 2]);
        let text = text.map_err(|_| ProxyError::Broken("it is not ASCII"))?;
        if text.contains(['\r', '\n']) {
            return Err(ProxyError::Broken("a line ends within it"));
        }
        let fields: Vec<&str> = text.split(' ').collect();
        let [_, family, source, destination, from, to] = fields[..] else {
            return match fields.get(1) {
                Some(&"UNKNOWN") => Ok(None),
                _ => Err(ProxyError::Broken("it has not six fields")),
            };
        };
        if family == "UNKNOWN" {
            return Ok(None);
        }
        if !is_port(from) || !is_port(to) {
            return Err(ProxyError::Broken("a port is none"));
        }
        let (source, destination) = match family {
            "TCP4" => (parse::<Ipv4Addr>(source), parse::<Ipv4Addr>(destination)),
            "TCP6" => (parse::<Ipv6Addr>(source), parse::<Ipv6Addr>(destination)),
            _ => return Err(ProxyError::Broken("its family is neither TCP4 nor TCP6")),
        };
        match (source, destination) {
            (Some(source), Some(_)) => Ok(Some(source)),
            _ => Err(ProxyError::Broken("an address is none")),
        }
    }

    fn second(&self) -> Result<Progress, ProxyError> {
        let Some(head) = self.bytes.get(..HEAD_BYTES) else {
            return Ok(Progress::More(HEAD_BYTES - self.bytes.len()));
        };
        let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
        let whole = HEAD_BYTES + length;
        if whole > HEADER_BYTES_MAX {
            return Err(ProxyError::TooLong);
        }
        let source = source_kind(head[12], head[13], length)?;
        if self.bytes.len() < whole {
            return Ok(Progress::More(whole - self.bytes.len()));
        }
        let body = &self.bytes[HEAD_BYTES..whole];
        let (address, fields) = match source {
            Source::Proxy => return Ok(Progress::Done(None)),
            Source::V4 => {
                let [a, b, c, d] = [body[0], body[1], body[2], body[3]];
                (IpAddr::from([a, b, c, d]), &body[V4_BYTES..])
            }
            Source::V6 => {
                let mut octets = [0; 16];
                octets.copy_from_slice(&body[..16]);
                (IpAddr::from(octets), &body[V6_BYTES..])
            }
        };
        check_fields(fields)?;
        Ok(Progress::Done(Some(address)))
    }
}

/// Whether a stream begins as a header does.
pub(crate) fn looks_like_header(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE) || bytes.starts_with(WORD)
}

/// Whose address the second version brings.
enum Source {
    Proxy,
    V4,
    V6,
}

fn source_kind(command: u8, family: u8, length: usize) -> Result<Source, ProxyError> {
    match (command, family) {
        (0x20, _) | (0x21, 0x00) => Ok(Source::Proxy),
        (0x21, 0x11) if length >= V4_BYTES => Ok(Source::V4),
        (0x21, 0x21) if length >= V6_BYTES => Ok(Source::V6),
        (0x21, 0x11 | 0x21) => Err(ProxyError::Broken("it is too short for its addresses")),
        (0x21, _) => Err(ProxyError::Broken("it is not about TCP")),
        _ => Err(ProxyError::Broken("its version or command is unknown")),
    }
}

/// Fields behind the addresses must end with the header; what they say is passed over.
fn check_fields(mut fields: &[u8]) -> Result<(), ProxyError> {
    while !fields.is_empty() {
        let length = match fields {
            [_, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            _ => return Err(ProxyError::Broken("a field is cut")),
        };
        fields = fields
            .get(3 + length..)
            .ok_or(ProxyError::Broken("a field is cut"))?;
    }
    Ok(())
}

fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && text.parse::<u16>().is_ok()
}

fn parse<T: std::str::FromStr + Into<IpAddr>>(text: &str) -> Option<IpAddr> {
    text.parse::<T>().ok().map(Into::into)
}

const WORD: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// `PROXY UNKNOWN\r\n`.
const LINE_BYTES_MIN: usize = 15;

/// With two full IPv6 addresses, as the specification counts it.
const LINE_BYTES_MAX: usize = 107;

/// Of the second version, before its addresses.
const HEAD_BYTES: usize = 16;
const V4_BYTES: usize = 12;
const V6_BYTES: usize = 36;

/// Longer ones hold certificates and the like, of which nothing is used here.
pub(crate) const HEADER_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
