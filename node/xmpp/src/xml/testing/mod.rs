//! The reader against itself and against what its canonical form promises; shared by tests and fuzz
//! targets.
//!
//! | check | finds |
//! |---|---|
//! | mixed lanes = reference lane alone | the fast lane accepts too much, or writes something else |
//! | the canonical form of the canonical form is itself | two spellings of one thing |
//! | the fast lane takes the canonical form verbatim | a spelling that is canonical and yet rewritten |
//! | chunks = whole | state lost or doubled at a border |
//! | source and canonical form mean the same to another parser | a canonical form of something else |
//! | shape | a canonical form that consumers cannot scan blindly |
//! | work | tokens that are read again and again |

mod generator;
mod oracle;
mod shape;
mod stanzas;

pub use self::generator::Generator;
pub use self::oracle::check_meaning;
pub use self::shape::check_shape;
pub use self::stanzas::STANZAS;
pub use super::faults::{Fault, plant};
use super::{Content, Item, ReadError, Reader, StreamHeader, XmlLimits};
use crate::stanza::Header;

/// The stream on which something is read.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its content.
    pub content: Content,
    /// Its limits; small ones, so that they are met.
    pub limits: XmlLimits,
    /// The address to stamp.
    pub from: Option<&'static str>,
    /// What its header declares beside the usual.
    pub declares: &'static str,
}

impl Setup {
    /// Some setups that differ in everything.
    pub fn all() -> [Self; 4] {
        let limits = XmlLimits {
            stanza_bytes_max: 4096,
            ..XmlLimits::default()
        };
        let tight = XmlLimits {
            stanza_bytes_max: 300,
            depth_max: 4,
            attributes_max: 7,
            namespaces_max: 4,
            elements_max: 9,
        };
        let plain = Self {
            content: Content::Client,
            limits,
            from: None,
            declares: "",
        };
        [
            plain.clone(),
            Self {
                from: Some("u@h.example/r&'r"),
                declares: " xml:lang='en'",
                ..plain.clone()
            },
            Self {
                content: Content::Server,
                declares: " xmlns:p='urn:p'",
                ..plain.clone()
            },
            Self {
                limits: tight,
                ..plain
            },
        ]
    }

    /// The start tag of the stream.
    pub fn open(&self) -> String {
        let content = self.content.namespace();
        let streams = "http://etherx.jabber.org/streams";
        let declares = self.declares;
        format!("<stream:stream xmlns='{content}' xmlns:stream='{streams}'{declares}>")
    }

    /// A reader whose stream was opened.
    pub fn reader(&self, fast: bool) -> Reader {
        let mut reader = Reader::new(self.content, XmlLimits::default());
        let opened = reader.next(&mut self.open().as_bytes(), &mut Vec::new());
        assert!(matches!(opened, Ok(Some(Item::Open(_)))), "{opened:?}");
        reader.set_limits(self.limits.clone());
        reader.stamp_from(self.from);
        reader.fast_lane(fast);
        reader
    }
}

/// An item, as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A stream was opened.
    Open(StreamHeader),
    /// An element: its canonical form, and its header with spans into it.
    Element(String, Box<Header>),
    /// The stream was closed.
    Close,
}

/// All that a reader made of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it found, in order.
    pub items: Vec<Seen>,
    /// What ended it.
    pub error: Option<ReadError>,
}

/// Feeds a reader and collects what it finds. `pause` is called between chunks.
pub fn read(reader: &mut Reader, chunks: &[&[u8]], mut pause: impl FnMut(&mut Reader)) -> Reading {
    let mut reading = Reading::default();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            let mut out = Vec::new();
            let seen = match reader.next(&mut input, &mut out) {
                Ok(None) => break,
                Ok(Some(Item::Open(header))) => Seen::Open(header),
                Ok(Some(Item::Close)) => Seen::Close,
                Ok(Some(Item::Stanza(header))) => {
                    let header = Box::new(header.clone());
                    assert_eq!(
                        header.whole.len(),
                        out.len(),
                        "the header covers the element"
                    );
                    let text = String::from_utf8(out)
                        .unwrap_or_else(|error| format!("not UTF-8: {error:?}"));
                    Seen::Element(text, header)
                }
                Err(error) => {
                    reading.error = Some(error);
                    return reading;
                }
            };
            reading.items.push(seen);
        }
        assert!(input.is_empty(), "all was taken");
        pause(reader);
    }
    reading
}

/// Bytes that the fast lane has looked at in the last element.
pub fn looked(reader: &Reader) -> usize {
    reader.looked()
}

/// Whatever a reader waits for, this ends it, and ends it in an error: both quotes, the end of a
/// tag and of a reference, and a character that is allowed nowhere.
pub const POISON: &[u8] = b">'>\">;>>>>>>>>>>>>\0<\0>";

/// Runs every check on one element and what may follow it. `cuts` chooses where chunks end.
///
/// # Errors
/// What does not hold.
pub fn check(
    bytes: &[u8],
    setup: &Setup,
    mut cuts: impl FnMut(usize) -> usize,
) -> Result<(), String> {
    let whole = [bytes, POISON].concat();
    let reference = check_lanes(bytes, setup)?;
    for _ in 0..2 {
        let chunks = cut(&whole, &mut cuts);
        let mut turn = 0;
        let pause = |reader: &mut Reader| {
            turn += 1;
            if turn % 3 == 0 {
                reader.release_temporaries();
            }
        };
        compare(
            "chunks",
            &reference,
            &read(&mut setup.reader(true), &chunks, pause),
        )?;
        compare(
            "chunks of the reference lane",
            &reference,
            &read(&mut setup.reader(false), &chunks, |_| {}),
        )?;
    }
    for item in &reference.items {
        if let Seen::Element(text, header) = item {
            check_shape(text)?;
            check_canonical(text, header, setup)?;
        }
    }
    if let (Some(Seen::Element(text, _)), None) = (reference.items.first(), setup.from) {
        check_meaning(first_element(&whole, setup), text, setup)?;
    }
    check_work(&whole, setup)
}

/// Reads something with both lanes and with the reference lane alone.
///
/// # Errors
/// How the two differ.
pub fn check_lanes(bytes: &[u8], setup: &Setup) -> Result<Reading, String> {
    let whole = [bytes, POISON].concat();
    let reference = read(&mut setup.reader(false), &[&whole], |_| {});
    let mixed = read(&mut setup.reader(true), &[&whole], |_| {});
    compare("lanes", &reference, &mixed)?;
    Ok(reference)
}

/// Reads the start of a stream whole and in chunks.
///
/// # Errors
/// How the two differ.
pub fn check_stream_header(
    bytes: &[u8],
    content: Content,
    mut cuts: impl FnMut(usize) -> usize,
) -> Result<Reading, String> {
    let whole = [bytes, POISON].concat();
    let reader = || Reader::new(content, XmlLimits::before_authentication());
    let expected = read(&mut reader(), &[&whole], |_| {});
    let chunks = cut(&whole, &mut cuts);
    let pause = Reader::release_temporaries;
    compare("chunks", &expected, &read(&mut reader(), &chunks, pause))?;
    Ok(expected)
}

/// The source of the first element.
fn first_element<'a>(bytes: &'a [u8], setup: &Setup) -> &'a [u8] {
    let mut reader = setup.reader(false);
    let mut rest = bytes;
    let found = reader.next(&mut rest, &mut Vec::new());
    assert!(
        matches!(found, Ok(Some(_))),
        "it was read before: {found:?}"
    );
    bytes[..bytes.len() - rest.len()].trim_ascii_start()
}

fn compare(what: &str, expected: &Reading, found: &Reading) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "{what} differ:\n  expected {expected:?}\n  found    {found:?}"
    ))
}

/// The canonical form is its own canonical form, in both lanes, and nothing of it is rewritten.
fn check_canonical(text: &str, header: &Header, setup: &Setup) -> Result<(), String> {
    // Stamps are written already, and what they added does not count against the limit again.
    let plain = Setup {
        from: None,
        declares: "",
        ..setup.clone()
    };
    let expected = Some(text);
    for fast in [false, true] {
        let mut reader = plain.reader(fast);
        let reading = read(&mut reader, &[text.as_bytes()], |_| {});
        let found = match &reading.items[..] {
            [Seen::Element(text, again)] if again.children == header.children => Some(&text[..]),
            _ => None,
        };
        if found != expected || reading.error.is_some() {
            return Err(format!(
                "not canonical (fast: {fast}): {text}\n  found {reading:?}"
            ));
        }
        let taken = reader.counts().fast == 1;
        if taken && !reader.was_verbatim() {
            return Err(format!("canonical and yet rewritten: {text}"));
        }
    }
    Ok(())
}

/// Byte by byte, each byte is looked at a few times only.
fn check_work(bytes: &[u8], setup: &Setup) -> Result<(), String> {
    let mut reader = setup.reader(true);
    let mut looked = 0;
    for byte in bytes.chunks(1) {
        if reader.next(&mut &*byte, &mut Vec::new()).is_err() {
            break;
        }
        looked = looked.max(reader.looked());
    }
    if looked > 4 * bytes.len() {
        return Err(format!("{looked} bytes looked at to read {}", bytes.len()));
    }
    Ok(())
}

/// Cuts at one to six places.
fn cut<'a>(bytes: &'a [u8], cuts: &mut impl FnMut(usize) -> usize) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = (0..=cuts(6)).map(|_| cuts(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for place in places {
        chunks.push(&bytes[from..place]);
        from = place;
    }
    chunks.push(&bytes[from..]);
    chunks
}
