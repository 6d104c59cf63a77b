use rookery_xmpp::entropy::{Entropy, Seeded};

use super::*;

/// Reads a header from a stream as a mover does, in pieces of any size; with how much was taken.
fn read(
    stream: &[u8],
    mut piece: impl FnMut(usize) -> usize,
) -> (Result<Progress, ProxyError>, usize) {
    let (mut header, mut taken, mut allowed) = (ProxyHeader::default(), 0, ProxyHeader::FIRST);
    loop {
        let size = piece(allowed).clamp(1, allowed).min(stream.len() - taken);
        if size == 0 {
            return (Ok(Progress::More(allowed)), taken);
        }
        let progress = header.push(&stream[taken..taken + size]);
        taken += size;
        assert!(taken <= HEADER_BYTES_MAX);
        match progress {
            Ok(Progress::More(more)) => {
                assert!(more > 0);
                allowed = more;
            }
            end => return (end, taken),
        }
    }
}

fn whole(stream: &[u8]) -> Result<Progress, ProxyError> {
    read(stream, |allowed| allowed).0
}

fn address(text: &str) -> Result<Progress, ProxyError> {
    Ok(Progress::Done(Some(text.parse().unwrap())))
}

fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

fn v4() -> Vec<u8> {
    second(0x21, 0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3, 4])
}

fn v6(fields: &[u8]) -> Vec<u8> {
    let mut body = [0; V6_BYTES].to_vec();
    body[..2].copy_from_slice(&[0x20, 0x01]);
    body[15] = 9;
    body.extend(fields);
    second(0x21, 0x21, &body)
}

#[test]
fn both_versions_tell_the_clients_address() {
    let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 5222\r\n";
    assert_eq!(whole(line), address("192.0.2.7"));
    let line = b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n";
    assert_eq!(whole(line), address("2001:db8::7"));
    assert_eq!(whole(&v4()), address("192.0.2.7"));
    assert_eq!(whole(&v6(&[])), address("2001::9"));
    assert_eq!(whole(&v6(&[4, 0, 2, 0, 0, 5, 0, 0])), address("2001::9"));
}

#[test]
fn a_proxy_that_speaks_for_itself_brings_no_address() {
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        second(0x20, 0x00, &[]),
        second(0x20, 0x11, &[1; 12]),
        second(0x21, 0x00, &[]),
    ] {
        assert_eq!(whole(&header), Ok(Progress::Done(None)), "{header:?}");
    }
}

#[test]
fn no_byte_of_the_client_is_taken_however_the_header_comes() {
    let mut random = Seeded::new(1);
    for header in [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 5222\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v4(),
        v6(&[4, 0, 1, 7]),
    ] {
        let stream = [&header[..], b"<?xml version='1.0'?>\r\n\r\n"].concat();
        for _ in 0..50 {
            let (end, taken) = read(&stream, |allowed| random.below(allowed as u64 + 1) as usize);
            assert!(matches!(end, Ok(Progress::Done(_))), "{end:?}");
            assert_eq!(taken, header.len());
        }
    }
}

#[test]
fn what_breaks_the_rules_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7\n198.51.100.1 1 2 3\r\n",
    ] {
        let end = whole(line.as_bytes());
        assert!(matches!(end, Err(ProxyError::Broken(_))), "{line}: {end:?}");
    }
    for header in [
        second(0x11, 0x11, &[0; 12]),
        second(0x22, 0x11, &[0; 12]),
        second(0x21, 0x12, &[0; 12]),
        second(0x21, 0x31, &[0; 216]),
        second(0x21, 0x11, &[0; 11]),
        second(0x21, 0x21, &[0; 35]),
        v6(&[4, 0]),
        v6(&[4, 0, 2, 7]),
    ] {
        let end = whole(&header);
        assert!(
            matches!(end, Err(ProxyError::Broken(_))),
            "{header:?}: {end:?}"
        );
    }
}

#[test]
fn what_is_no_header_is_known_by_its_first_bytes() {
    for stream in [
        &b"<?xml version='1.0'?>"[..],
        b"\x16\x03\x01\x02\0",
        b"PROXX TCP4",
        b"\r\n\r\n\r",
    ] {
        assert_eq!(whole(stream), Err(ProxyError::Missing));
    }
    assert!(looks_like_header(&v4()) && looks_like_header(b"PROXY TCP4"));
    assert!(!looks_like_header(b"<stream"));
}

#[test]
fn a_header_without_end_is_given_up() {
    let endless = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 4_096]].concat();
    let (end, taken) = read(&endless, |allowed| allowed);
    assert_eq!(end, Err(ProxyError::TooLong));
    assert!(taken <= LINE_BYTES_MAX + 1, "{taken}");
    assert_eq!(
        whole(&second(0x21, 0x11, &[0; 4_000])),
        Err(ProxyError::TooLong)
    );
}

/// Headers that are spoiled in some places, and bytes of any kind: never a panic, never beyond the bound, and what is
/// taken for a good header is one.
#[test]
fn no_bytes_whatever_do_any_harm() {
    let mut random = Seeded::new(7);
    let good = [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 5222\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".to_vec(),
        v4(),
        v6(&[4, 0, 2, 0, 0]),
    ];
    for round in 0..40_000_u64 {
        let mut bytes = good[(round % 4) as usize].clone();
        match random.below(3) {
            0 => {
                bytes = (0..random.below(200))
                    .map(|_| random.below(256) as u8)
                    .collect()
            }
            1 => bytes.truncate(random.below(bytes.len() as u64) as usize),
            _ => {}
        }
        for _ in 0..random.below(4) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }
        }
        let (end, taken) = read(&bytes, |allowed| random.below(allowed as u64 + 1) as usize);
        if let Ok(Progress::Done(_)) = end {
            assert!(looks_like_header(&bytes[..taken]));
            assert_eq!(whole(&bytes[..taken]), end, "in one piece or in many");
        }
    }
}
