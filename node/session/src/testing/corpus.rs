//! SASL messages to begin with, and ways to spoil them.
//!
//! Last messages of SCRAM cannot be written down before the exchange, so they are templates: [`NONCE`], [`BINDING`] and
//! [`PROOF`] stand for what the client that sends them would compute, over the message as it is by then. So a spoiled
//! template can still carry a right proof of a wrong message.

use super::choices::Choices;

/// In a last message: the nonce of the server's first.
pub(super) const NONCE: u8 = 1;

/// In a last message: what binds to the channel, in base64.
pub(super) const BINDING: u8 = 2;

/// In a last message: the right proof for what stands before `,p=`, in base64.
pub(super) const PROOF: u8 = 3;

/// Names of mechanisms: those that are known, and some that are not.
pub(super) const MECHANISMS: &[&str] = &[
    "PLAIN",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-256-PLUS-PLUS",
    "scram-sha-1",
    "EXTERNAL",
    "ANONYMOUS",
    "",
];

/// First messages of PLAIN (RFC 4616).
pub(super) const PLAIN: &[&[u8]] = &[
    b"\0juliet\0pencil",
    b"juliet@localhost\0juliet\0pencil",
    b"juliet@localhost/balcony\0juliet\0pencil",
    b"a,b=c@localhost\0juliet\0pencil",
    b"\0a,b=c\0p,=2C",
    b"\0juliet\0dagger",
    b"juliet@capulet.example\0juliet\0dagger",
    b"\0nobody\0pencil",
    b"\0juliet@localhost\0pencil",
    b"\0JULIET\0pencil",
    "\0ｊｕｌｉｅｔ\0ｐｅｎｃｉｌ".as_bytes(),
    b"\0juliet\0pencil\0",
    b"\0juliet\0",
    b"\0\0pencil",
    b"juliet\0pencil",
    b"\0",
    b"\0\0",
    b"",
    b"\0juliet\0pencil\xff",
    b"\xff\0juliet\0pencil",
    "@\0juliet\0pencil".as_bytes(),
];

/// First messages of SCRAM (RFC 5802 7), with every way of channel binding, escapes, and extensions; `h` and `d` are
/// what XEP-0474 signs with, from the side that must not send them.
pub(super) const FIRST: &[&[u8]] = &[
    b"n,,n=juliet,r=abc",
    b"y,,n=juliet,r=abc",
    b"p=tls-exporter,,n=juliet,r=abc",
    b"p=tls-server-end-point,,n=juliet,r=abc",
    b"p=tls-unique,,n=juliet,r=abc",
    b"p=,,n=juliet,r=abc",
    b"p=tls-exporter,a=juliet@localhost,n=juliet,r=abc",
    b"n,a=juliet@localhost,n=juliet,r=abc",
    b"n,a=juliet@localhost/r,n=juliet,r=abc",
    b"n,a=a=2Cb=3Dc@localhost,n=a=2Cb=3Dc,r=abc",
    b"n,a=romeo@localhost,n=juliet,r=abc",
    b"n,,n=a=2Cb=3Dc,r=abc",
    b"n,,n=a=2cb=3dc,r=abc",
    b"n,,n=JULIET,r=abc",
    b"n,,n=nobody,r=abc",
    b"n,,n=juliet@localhost,r=abc",
    b"n,,n=juliet,r=abc,h=AAAA,x=y",
    b"n,,n=juliet,r=abc,d=AAAA",
    b"n,,n=juliet,r=",
    b"n,,n=,r=abc",
    b"n,,m=x,n=juliet,r=abc",
    b"n,,r=abc,n=juliet",
    b"n,,n=juliet",
    b"n,,",
    b"",
    b"\xff,,n=juliet,r=abc",
    b"n,,n=\xff,r=abc",
    b"n,,n=juliet,r=\xc3\xbc",
];

/// Last messages of SCRAM, as templates.
pub(super) const FINAL: &[&[u8]] = &[
    b"c=\x02,r=\x01,p=\x03",
    b"c=\x02,r=\x01,x=y,p=\x03",
    b"c=\x02,r=\x01,h=AAAA,d=AAAA,p=\x03",
    b"c=\x02,r=\x01,p=AAAA,p=\x03",
    b"c=biws,r=\x01,p=\x03",
    b"c=eSws,r=\x01,p=\x03",
    b"c=,r=\x01,p=\x03",
    b"c=\x02,r=\x01x,p=\x03",
    b"c=\x02,r=abc,p=\x03",
    b"c=\x02,r=,p=\x03",
    b"r=\x01,c=\x02,p=\x03",
    b"m=x,c=\x02,r=\x01,p=\x03",
    b"c=\x02,r=\x01",
    b"c=\x02,r=\x01,p=",
    b"c=\x02,r=\x01,p=AAAA",
    b"c=\x02,r=\x01,p=\x03\x03",
    b"c=\x02,r=\x01,p=\x03,x=y",
    b"c=\x02,r=\x01,p=\x03\n",
    b"n,,n=juliet,r=abc",
    b"",
    b"\xff",
];

/// Pieces that matter somewhere.
const PIECES: &[&[u8]] = &[
    b",",
    b"=",
    b"=2C",
    b"=3D",
    b"n=",
    b"r=",
    b"c=",
    b"p=",
    b",p=",
    b"a=",
    b"m=",
    b"h=",
    b"x=1",
    b"y,,",
    b"p=tls-exporter,,",
    b"\0",
    b"@",
    b"/",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    "é".as_bytes(),
    "\u{200b}".as_bytes(),
    b" ",
    b"\x01",
    b"\x02",
    b"\x03",
    b"AAAA",
    b"juliet",
    b"romeo@localhost",
];

/// Spoils a message, more often a little than much.
pub(super) fn spoil(choices: &mut Choices<'_>, message: &mut Vec<u8>) {
    for _ in 0..=choices.below(3) {
        spoil_once(choices, message);
    }
}

fn spoil_once(choices: &mut Choices<'_>, message: &mut Vec<u8>) {
    let place = choices.below(message.len() + 1);
    let end = message.len().min(place + choices.below(6));
    match choices.below(8) {
        0 => {
            if let Some(byte) = message.get_mut(place) {
                *byte ^= 1 << choices.below(8);
            }
        }
        1 => drop(message.drain(place..end)),
        2 => {
            let copy = message[place..end].to_vec();
            drop(message.splice(place..place, copy));
        }
        3 => message.truncate(place),
        4 => {
            // Around the bound of a message, and beyond what a stranger's element may have.
            let bytes = choices.pick(&[250, 260, 1_023, 3_000, 4_096, 4_097, 6_000, 9_000]);
            drop(message.splice(place..place, std::iter::repeat_n(b'x', bytes)));
        }
        _ => {
            let piece = choices.pick(PIECES);
            drop(message.splice(place..place, piece.iter().copied()));
        }
    }
}

/// Damages the base64 of a message.
pub(super) fn damage(choices: &mut Choices<'_>, text: &mut String) {
    let place = choices.below(text.len() + 1);
    match choices.below(8) {
        0 => *text = text.trim_end_matches('=').to_owned(),
        1 => text.push('='),
        2 => text.insert(place, choices.pick(&[' ', '\n', '-', '_', '*', 'é', '='])),
        3 => text.truncate(place),
        4 => *text = text.replace('+', "-").replace('/', "_"),
        // Bits that no byte has.
        5 => {
            *text = text
                .replace("A=", "B=")
                .replace("w=", "x=")
                .replace("Q=", "R=")
        }
        6 => *text = "=".to_owned(),
        _ => text.clear(),
    }
}
