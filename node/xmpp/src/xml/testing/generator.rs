//! Elements by a grammar, with a rate of what is rare or wrong, and mutations.

use super::STANZAS;
use crate::entropy::Entropy;

/// Makes elements.
pub struct Generator<'a> {
    entropy: &'a mut dyn Entropy,
    /// How often something rare or wrong is chosen, in 10,000. Above some hundred hardly anything
    /// valid is left.
    weird: u64,
}

impl<'a> Generator<'a> {
    /// A generator with its own rate of the unusual.
    pub fn new(entropy: &'a mut dyn Entropy) -> Self {
        let weird = [0, 5, 20, 100, 400][entropy.below(5) as usize];
        Self { entropy, weird }
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.entropy.below(bound as u64) as usize
    }

    /// One top-level element, perhaps a spoiled one, and perhaps a realistic one.
    pub fn element(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.below(5) == 0 {
            bytes.extend_from_slice(self.pick(STANZAS).as_bytes());
        } else {
            self.write_element(&mut bytes, 0);
        }
        if self.below(3) == 0 {
            for _ in 0..=self.below(3) {
                self.mutate(&mut bytes);
            }
        }
        bytes
    }

    /// Several elements with white space between them, and perhaps the end of the stream.
    pub fn stream(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..=self.below(5) {
            bytes.extend_from_slice(self.pick(&["", "", " ", "\n", "\r\n\t "]).as_bytes());
            bytes.extend_from_slice(&self.element());
        }
        if self.below(8) == 0 {
            bytes.extend_from_slice(b"</stream:stream> ");
        }
        bytes
    }

    fn is_weird(&mut self) -> bool {
        self.entropy.below(10_000) < self.weird
    }

    fn pick<T: Copy>(&mut self, pool: &[T]) -> T {
        pool[self.below(pool.len())]
    }

    fn write_element(&mut self, out: &mut Vec<u8>, depth: usize) {
        let name = self.name(depth);
        out.push(b'<');
        out.extend_from_slice(name.as_bytes());
        self.write_attributes(out);
        out.extend_from_slice(self.space("", &[" ", "\n", "\t "]).as_bytes());
        if self.below(4) == 0 {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        let children = if depth < 6 { self.below(4) } else { 0 };
        for _ in 0..children {
            if self.below(2) == 0 {
                self.write_text(out);
            } else {
                self.write_element(out, depth + 1);
            }
        }
        if self.below(2) == 0 {
            self.write_text(out);
        }
        out.extend_from_slice(b"</");
        let name = if self.is_weird() {
            self.name(depth)
        } else {
            name
        };
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(self.space("", &[" ", "\r\n"]).as_bytes());
        out.push(b'>');
    }

    fn name(&mut self, depth: usize) -> String {
        if self.is_weird() {
            return match self.below(12) {
                0 => "n".repeat(253 + self.below(5)),
                1 => "n".repeat(1023 + self.below(3)),
                _ => self.pick(WEIRD_NAMES).to_owned(),
            };
        }
        let pool = if depth == 0 { TOP_NAMES } else { NAMES };
        self.pick(pool).to_owned()
    }

    fn write_attributes(&mut self, out: &mut Vec<u8>) {
        let mut count = self.below(4);
        if self.is_weird() {
            count = self.pick(&[5, 6, 7, 15, 16, 17, 62, 63, 64, 65]);
        }
        let mut names: Vec<String> = Vec::new();
        for index in 0..count {
            let mut name = self.attribute_name(index, count);
            if names.contains(&name) && !self.is_weird() {
                name = format!("x{index}");
            }
            out.extend_from_slice(self.space(" ", &["  ", "\n", "\t", "\r\n", ""]).as_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(self.space("=", &[" =", "= ", "\n=\n", ""]).as_bytes());
            let quote = self.pick(b"\"\"'");
            out.push(quote);
            if name.starts_with("xmlns") {
                let uri = self.uri();
                out.extend_from_slice(uri.as_bytes());
            } else {
                self.write_value(out, quote);
            }
            out.push(quote);
            names.push(name);
        }
    }

    fn attribute_name(&mut self, index: usize, count: usize) -> String {
        if count > 8 {
            return format!("x{index}");
        }
        if index == 0 && self.below(3) == 0 {
            return "xmlns".to_owned();
        }
        if self.is_weird() {
            self.pick(WEIRD_ATTRIBUTES)
        } else {
            self.pick(ATTRIBUTES)
        }
        .to_owned()
    }

    fn uri(&mut self) -> String {
        // So many kinds are wrong here that a plain rate would hardly meet one of them.
        if self.is_weird() || (self.weird > 0 && self.below(20) == 0) {
            return match self.below(10) {
                0 => "u".repeat(999 + self.below(3)),
                1 => "u".repeat(8_191 + self.below(3)),
                _ => self.pick(WEIRD_URIS).to_owned(),
            };
        }
        self.pick(URIS).to_owned()
    }

    fn write_value(&mut self, out: &mut Vec<u8>, quote: u8) {
        if self.is_weird() {
            let long = self.pick(&[7_999, 8_000, 8_001, 8_191, 8_192, 8_193]);
            out.extend(std::iter::repeat_n(b'v', long));
        }
        for _ in 0..self.below(4) {
            let piece = self.piece();
            out.extend(piece.iter().copied().filter(|byte| *byte != quote));
        }
    }

    fn write_text(&mut self, out: &mut Vec<u8>) {
        for _ in 0..self.below(5) {
            let piece = self.piece();
            out.extend_from_slice(piece);
        }
        if self.is_weird() {
            let long = self.pick(&[8_191, 8_192, 8_193, 16_384]);
            out.extend(std::iter::repeat_n(b't', long));
        }
    }

    fn piece(&mut self) -> &'static [u8] {
        if self.is_weird() {
            self.pick(WEIRD_PIECES)
        } else {
            self.pick(PIECES)
        }
    }

    fn space(&mut self, usual: &'static str, unusual: &[&'static str]) -> &'static str {
        // Other spellings of what is correct are no rarity that spoils an element.
        if self.below(20) == 0 || self.is_weird() {
            self.pick(unusual)
        } else {
            usual
        }
    }

    /// Spoils some bytes in one of several ways.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len() + 1);
        let len = self.below(8);
        let end = bytes.len().min(place + len);
        match self.below(6) {
            0 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << self.entropy.below(8);
                }
            }
            1 => drop(bytes.drain(place..end)),
            2 => {
                let piece = self.pick(WEIRD_PIECES);
                drop(bytes.splice(place..place, piece.iter().copied()));
            }
            3 => {
                let copy = bytes[place..end].to_vec();
                let target = self.below(bytes.len() + 1);
                drop(bytes.splice(target..target, copy));
            }
            4 => bytes.truncate(place),
            _ => {
                let byte = self.pick(b"<>&'\"=/ :;]\r\n\0!?#x");
                bytes.insert(place, byte);
            }
        }
    }
}

const TOP_NAMES: &[&str] = &[
    "message", "message", "message", "iq", "presence", "r", "a", "enable",
];
const NAMES: &[&str] = &[
    "a", "b", "body", "x", "item", "active", "c", "message", "a-1.b_c", "error",
];
const WEIRD_NAMES: &[&str] = &[
    "é", "a:b", ":a", "a:", "xml:a", "p:x", "p:body", "-a", "1", "stream:x", "xmlns:q", "a:b:c",
    "€", "aé", "a\u{b7}", "_",
];
const ATTRIBUTES: &[&str] = &[
    "to", "from", "id", "type", "xml:lang", "b", "c", "node", "ver", "x-1", "xmlns", "lang",
];
const WEIRD_ATTRIBUTES: &[&str] = &[
    "xmlns:p",
    "xmlns:q",
    "p:b",
    "q:b",
    "p:from",
    "xml:space",
    "xml:base",
    "xmlns:xml",
    "xmlns:xmlns",
    "é",
    "xml:langs",
    "xml:lan",
    "xmlns:",
    ":b",
    "a0:b",
    "xmlns:a0",
    "from",
    "to",
    "b",
];
const URIS: &[&str] = &[
    "jabber:client",
    "urn:a",
    "urn:p",
    "urn:xmpp:sm:3",
    "http://jabber.org/protocol/chatstates",
    "http://jabber.org/protocol/muc#user",
    "urn:xmpp:hints",
    "u",
];
const WEIRD_URIS: &[&str] = &[
    "",
    "jabber:server",
    "jabber:server",
    "urn:a b",
    "urn:a\n",
    "urn:é",
    "urn:&#97;",
    "urn:a&#9;",
    "urn:a&#13;",
    "urn:a&quot;",
    "urn:'",
    "urn:a\u{7f}",
    "urn:\u{a0}",
    "http://www.w3.org/XML/1998/namespace",
    "http://www.w3.org/2000/xmlns/",
    "http://jabber.org/protocol/muc#é",
    "jabber&#58;client",
    "a&amp;b",
    "a>b",
    "http://etherx.jabber.org/streams",
];
const PIECES: &[&[u8]] = &[
    b"hello",
    b"some more text, longer than the words and blocks that are scanned at once",
    b" ",
    b"a",
    "é".as_bytes(),
    "日本語のテキスト".as_bytes(),
    "\u{1f600}".as_bytes(),
    b"&amp;",
    b"&lt;",
    b"&gt;",
    b"&quot;",
    b"&apos;",
    b"'",
    b"\"",
    b">",
    b"\n",
    b"\t",
    b"\r",
    b"\r\n",
    b"\r\r\n",
    b"\n\r",
    b"&#13;",
    b"&#10;",
    b"&#9;",
    b"&#xA;",
    b"&#x41;",
    b"&#233;",
    b"&#38;",
    b"&#x3C;",
    b"&#0000013;",
    b"]]",
    b"]",
    b"#",
    "\u{85}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{7f}".as_bytes(),
    "\u{fffd}".as_bytes(),
    "\u{ff01}\u{ff41}".as_bytes(),
    "\u{e000}\u{1fffe}".as_bytes(),
];
const WEIRD_PIECES: &[&[u8]] = &[
    b"]]>",
    b"]]&gt;",
    b"\x00",
    b"\x01",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    "\u{fffe}".as_bytes(),
    "\u{ffff}".as_bytes(),
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xc3",
    b"&nbsp;",
    b"&",
    b"&;",
    b"&#0;",
    b"&#xFFFE;",
    b"&#xD800;",
    b"&#x110000;",
    b"&#000000065;",
    b"&#x000000041;",
    b"&#00000065;",
    b"&am",
    b"&#",
    b"<",
    b"</",
    b"<!--x-->",
    b"<?pi x?>",
    b"<![CDATA[x<&>]]>",
    b"<![CDATA[]]>",
    b"<![CDATA[\r\n]]]]>",
    b"<!DOCTYPE a>",
    b"</stream:stream>",
    b" xmlns='jabber:server'",
    b"\xef\xbb\xbf",
];
