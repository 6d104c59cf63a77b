//! Both lanes over small spaces searched whole. `ROOKERY_EXHAUSTIVE=1` searches the large ones
//! whole, too.

use rookery_xmpp::xml::testing::{Setup, check, check_lanes};

fn thorough() -> bool {
    std::env::var_os("ROOKERY_EXHAUSTIVE").is_some()
}

fn compare(bytes: &[u8]) {
    if let Err(error) = check_lanes(bytes, &Setup::all()[0]) {
        panic!("{error}\n  source {:?}", String::from_utf8_lossy(bytes));
    }
}

/// A code point in UTF-8, also where there is no such character.
fn encode(code: u32) -> Vec<u8> {
    let low = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
    match code {
        0..0x80 => vec![code as u8],
        0x80..0x800 => vec![0xc0 | (code >> 6) as u8, low(0)],
        0x800..0x10000 => vec![0xe0 | (code >> 12) as u8, low(6), low(0)],
        _ => vec![0xf0 | (code >> 18) as u8, low(12), low(6), low(0)],
    }
}

/// All code points, or those where something changes and a sample of the others.
fn codes() -> Vec<u32> {
    let edges = [
        0x80_u32, 0x800, 0xd800, 0xdc00, 0xe000, 0xfffe, 0x10000, 0x1fffe, 0x110000,
    ];
    (0..0x110400)
        .filter(|&code| {
            thorough()
                || code < 0x300
                || code % 1009 == 0
                || edges.iter().any(|edge| edge.abs_diff(code) < 4)
        })
        .collect()
}

#[test]
fn every_character_at_every_kind_of_place() {
    let templates: [(&str, &str); 7] = [
        ("<a>x", "y</a>"),
        ("<a b=\"x", "y\"/>"),
        ("<a b='x", "y'/>"),
        ("<a><x", "y/></a>"),
        ("<a x", "y='1'/>"),
        ("<a xmlns='u", "v'/>"),
        ("<a>]]", "></a>"),
    ];
    for code in codes() {
        let raw = encode(code);
        for (before, behind) in templates {
            compare(&[before.as_bytes(), &raw, behind.as_bytes()].concat());
        }
        for reference in [
            format!("&#{code};"),
            format!("&#x{code:x};"),
            format!("&#x{code:06X};"),
        ] {
            compare(format!("<a>{reference}</a>").as_bytes());
            compare(format!("<a b='{reference}'/>").as_bytes());
        }
    }
}

/// Bytes that mean something, one of each class, and those beside them.
const INTERESTING: &[u8] =
    b"\0\x01\t\n\r\x1f !\"#&'-./09:;<=>?ABZ[]_`az{\x7f\x80\xbf\xc2\xe2\xef\xff";

#[test]
fn every_pair_of_bytes_at_every_place() {
    let templates: [&[u8]; 4] = [
        b"<a b=\"c\">d</a>",
        b"<a xmlns='u'><b/>&amp;</a>",
        b"<m a='&lt;' b=\"\"></m >",
        b"<a>\r\n]]</a><b/>",
    ];
    let all: Vec<u8> = (0..=255).collect();
    let bytes = if thorough() { &all[..] } else { INTERESTING };
    for template in templates {
        for place in 0..template.len() - 1 {
            let mut case = template.to_vec();
            for &first in bytes {
                for &second in bytes {
                    case[place..place + 2].copy_from_slice(&[first, second]);
                    compare(&case);
                }
            }
        }
    }
}

#[test]
fn every_byte_put_in_at_every_place() {
    let template = b"<message to=\"a\" id='1'><body>x &gt; y</body><r xmlns='urn:a' /></message>";
    for place in 0..=template.len() {
        for byte in 0..=255 {
            let mut case = template.to_vec();
            case.insert(place, byte);
            compare(&case);
        }
    }
}

#[test]
fn every_length_about_the_limits_of_both_lanes() {
    let setup = &Setup {
        limits: Default::default(),
        ..Setup::all()[0].clone()
    };
    let edges = [
        7, 8, 9, 15, 16, 31, 32, 33, 63, 64, 65, 255, 256, 1000, 1001, 1024, 1025,
    ];
    let long = [
        7_999, 8_000, 8_001, 8_190, 8_191, 8_192, 8_193, 16_383, 16_384, 16_385,
    ];
    for length in edges.into_iter().chain(long) {
        let run = "n".repeat(length);
        for case in [
            format!("<a b='{run}'/>"),
            format!("<a>{run}</a>"),
            format!("<a>{run}é</a>"),
            format!("<a>&amp;{run}\r\n{run}</a>"),
            format!("<{run}></{run}>"),
            format!("<a {run}='1'/>"),
            format!("<a xmlns='{run}'/>"),
            format!("<a xmlns:p='{run}' p:b='1'/>"),
            format!("<a xmlns:p='u' p:{run}='1'/>"),
            format!("<a b='&amp;{run}'/>"),
        ] {
            if let Err(error) = check_lanes(case.as_bytes(), setup) {
                panic!("length {length}: {}", &error[..error.len().min(400)]);
            }
        }
    }
}

#[test]
fn every_number_of_attributes_elements_and_levels_about_the_limits() {
    for setup in Setup::all() {
        for count in (0..70).chain(120..140) {
            let attributes: String = (0..count).map(|n| format!(" x{n}='1'")).collect();
            let foreign: String = (0..count).map(|n| format!(" p:x{n}='1'")).collect();
            let prefixes: String = (0..count)
                .map(|n| format!(" xmlns:p{n}='u{n}' p{n}:x='1'"))
                .collect();
            for case in [
                format!("<message{attributes}/>"),
                format!("<a xmlns:p='u'{foreign}/>"),
                format!("<a{prefixes}/>"),
                format!("<a>{}</a>", "<b/>".repeat(count)),
                "<a>".repeat(count) + &"</a>".repeat(count),
            ] {
                if let Err(error) = check(case.as_bytes(), &setup, |bound| bound / 3) {
                    panic!("{count}: {error}");
                }
            }
        }
    }
}

#[test]
fn every_pair_of_cuts_of_some_elements() {
    for source in [
        &b" <message to='a&amp;b'>\r\n<body>\xc3\xa9 &#x1F600;</body><x xmlns=\"urn:a\"></x></message >"[..],
        b"<p:iq xmlns:p='jabber:client' id='\r'><![CDATA[\r\n]]]]></p:iq>\n<r xmlns='u' />",
    ] {
        for first in 0..source.len() {
            for second in first..source.len() {
                // The first answer is how many cuts there are, the others where they are.
                let mut turn = 0;
                let next = |_: usize| {
                    let value = [1, first, second][turn % 3];
                    turn += 1;
                    value
                };
                if let Err(error) = check(source, &Setup::all()[1], next) {
                    panic!("cut at {first} and {second}: {error}");
                }
            }
        }
    }
}
