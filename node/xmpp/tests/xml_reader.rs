//! What the reader accepts, refuses and writes, case by case.

use rookery_xmpp::stanza::{Flags, Header, Kind, Namespace, Span, StanzaType};
use rookery_xmpp::stream_error::StreamCondition as Condition;
use rookery_xmpp::xml::{
    Content, Item, ReadError, Reader, STREAM_CLOSE, StreamHeader, StreamOpen, XmlLimits,
    canonicalize, write_stream_open,
};

const OPEN: &[u8] = b"<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' to='a.example' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>";
const OPEN_PLAIN: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

fn reader(open: &[u8]) -> Reader {
    let mut reader = Reader::new(Content::Client, XmlLimits::default());
    let found = reader.next(&mut &*open, &mut Vec::new());
    assert!(matches!(found, Ok(Some(Item::Open(_)))), "{found:?}");
    reader
}

fn read(element: &str) -> Result<(String, Header), ReadError> {
    let (bytes, header) = canonicalize(element.as_bytes(), Content::Client, XmlLimits::default())?;
    Ok((String::from_utf8(bytes).expect("UTF-8"), header))
}

fn text_of(span: Span, bytes: &str) -> &str {
    std::str::from_utf8(span.of(bytes.as_bytes())).expect("UTF-8")
}

#[test]
fn a_stream_header_is_read_with_all_it_says() {
    let mut reader = Reader::new(Content::Client, XmlLimits::before_authentication());
    let mut out = Vec::new();
    let found = reader.next(&mut &*OPEN, &mut out).expect("accepted");
    let expected = StreamHeader {
        to: Some("a.example".into()),
        lang: Some("en".into()),
        version: Some((1, 0)),
        ..StreamHeader::default()
    };
    assert_eq!(found, Some(Item::Open(expected)));
    assert!(out.is_empty() && reader.is_idle());
}

#[test]
fn what_we_write_as_stream_we_read_as_stream() {
    let mut bytes = Vec::new();
    let open = StreamOpen {
        from: Some("a.example"),
        to: Some("b&c.example"),
        id: Some("<\">"),
        lang: Some("de"),
    };
    write_stream_open(&mut bytes, Content::Server, &open);
    bytes.extend_from_slice(STREAM_CLOSE);
    let mut reader = Reader::new(Content::Server, XmlLimits::default());
    let mut input = &bytes[..];
    let header = StreamHeader {
        from: Some("a.example".into()),
        to: Some("b&c.example".into()),
        id: Some("<\">".into()),
        lang: Some("de".into()),
        version: Some((1, 0)),
    };
    let mut out = Vec::new();
    assert_eq!(
        reader.next(&mut input, &mut out),
        Ok(Some(Item::Open(header)))
    );
    assert_eq!(reader.next(&mut input, &mut out), Ok(Some(Item::Close)));
}

#[test]
fn a_stream_in_the_wrong_namespace_is_refused() {
    const STREAMS: &str = "http://etherx.jabber.org/streams";
    for (open, condition) in [
        (
            "<s:stream xmlns='jabber:client' xmlns:s='urn:x'>",
            Condition::InvalidNamespace,
        ),
        (
            "<s:stream xmlns='jabber:server' xmlns:s='STREAMS'>",
            Condition::InvalidNamespace,
        ),
        (
            "<s:stream xmlns='jabber:client'>",
            Condition::BadNamespacePrefix,
        ),
        (
            "<stream xmlns='jabber:client'>",
            Condition::InvalidNamespace,
        ),
        ("<s:flow xmlns:s='STREAMS'>", Condition::BadFormat),
        ("<stream xmlns='STREAMS'/>", Condition::BadFormat),
        (
            "<stream xmlns='STREAMS' version='x'>",
            Condition::UnsupportedVersion,
        ),
        (
            "<?xml version='1.0' encoding='latin-1'?><stream>",
            Condition::UnsupportedEncoding,
        ),
        ("<!DOCTYPE a><stream>", Condition::RestrictedXml),
        ("GET / HTTP/1.1\r\n", Condition::BadFormat),
        ("\u{16}\u{3}\u{1}", Condition::BadFormat),
    ] {
        let open = open.replace("STREAMS", STREAMS);
        let mut reader = Reader::new(Content::Client, XmlLimits::default());
        let error = reader
            .next(&mut open.as_bytes(), &mut Vec::new())
            .expect_err(&open);
        assert_eq!(error.condition, condition, "{open}");
        assert_eq!(
            reader.next(&mut &b"<a/>"[..], &mut Vec::new()),
            Err(error),
            "for ever"
        );
    }
}

#[test]
fn the_canonical_form_is_written() {
    for (source, canonical) in [
        (
            "<message  to = 'a'\n><body>x</body ></message>",
            "<message to=\"a\"><body>x</body></message>",
        ),
        ("<message xmlns='jabber:client'/>", "<message/>"),
        (
            "<c:message xmlns:c='jabber:client'><body/></c:message>",
            "<message><body/></message>",
        ),
        (
            "<a:x xmlns:a='urn:a' xmlns:b='urn:b'><y/></a:x>",
            "<x xmlns=\"urn:a\"><y xmlns=\"jabber:client\"/></x>",
        ),
        (
            "<x xmlns='urn:a'><y xmlns='urn:a'/></x>",
            "<x xmlns=\"urn:a\"><y/></x>",
        ),
        ("<x xmlns=''><y/></x>", "<x xmlns=\"\"><y/></x>"),
        (
            "<x xmlns:p='urn:p' xmlns:q='urn:q' b='1' q:c='2' p:d='3' q:e='4'/>",
            "<x b=\"1\" xmlns:a0=\"urn:q\" a0:c=\"2\" xmlns:a1=\"urn:p\" a1:d=\"3\" a0:e=\"4\"/>",
        ),
        (
            "<a>\"'>\r\n\r\t&#9;&#13;&#233;</a>",
            "<a>\"'&gt;\n\n\t\t&#13;é</a>",
        ),
        (
            "<a b='\"&apos;>\r\n\r\t\n&#9;&#10;&#13;&lt;'/>",
            "<a b=\"&quot;'&gt;    &#9;&#10;&#13;&lt;\"/>",
        ),
        ("<a b='x\ry'/>", "<a b=\"x y\"/>"),
        ("<a b='x\r'/>", "<a b=\"x \"/>"),
        ("<a><![CDATA[<&>]]></a>", "<a>&lt;&amp;&gt;</a>"),
        ("<a><![CDATA[]]></a>", "<a/>"),
        ("<a> </a>", "<a> </a>"),
        ("<a></a>", "<a/>"),
        (
            "<a xml:lang='de' xml:space='preserve'/>",
            "<a xml:lang=\"de\" xml:space=\"preserve\"/>",
        ),
        (
            "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
            "<a/>",
        ),
        (
            "<a>\u{85}\u{2028}\u{7f}\u{fffd}\u{e000}\u{1f600}</a>",
            "<a>\u{85}\u{2028}\u{7f}\u{fffd}\u{e000}\u{1f600}</a>",
        ),
        (
            "<x xmlns='urn:f'><body xmlns='jabber:server'/></x>",
            "<x xmlns=\"urn:f\"><body xmlns=\"jabber:server\"/></x>",
        ),
    ] {
        let (written, header) = read(source).expect(source);
        assert_eq!(written, canonical, "{source}");
        assert_eq!(
            read(&written).expect("canonical"),
            (written, header),
            "{source}"
        );
    }
}

#[test]
fn what_must_not_pass_ends_the_stream() {
    for (source, condition) in [
        ("<a><!-- x --></a>", Condition::RestrictedXml),
        ("<a><?x y?></a>", Condition::RestrictedXml),
        ("<a>&nbsp;</a>", Condition::RestrictedXml),
        ("<a b='&nbsp;'/>", Condition::RestrictedXml),
        ("<!DOCTYPE a><a/>", Condition::RestrictedXml),
        ("<é/>", Condition::RestrictedXml),
        ("<a é='x'/>", Condition::RestrictedXml),
        ("<a></b>", Condition::NotWellFormed),
        ("<a b='1' b='2'/>", Condition::NotWellFormed),
        ("<a xmlns='x' xmlns='y'/>", Condition::NotWellFormed),
        (
            "<a xmlns:p='x' xmlns:q='x' p:b='1' q:b='2'/>",
            Condition::NotWellFormed,
        ),
        ("<a>]]></a>", Condition::NotWellFormed),
        ("<a>&#0;</a>", Condition::NotWellFormed),
        ("<a>\u{ffff}</a>", Condition::NotWellFormed),
        ("<a>\u{1}</a>", Condition::NotWellFormed),
        ("<a b='<'/>", Condition::NotWellFormed),
        (
            "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
            Condition::NotWellFormed,
        ),
        (
            "<a xmlns:p='http://www.w3.org/2000/xmlns/'/>",
            Condition::NotWellFormed,
        ),
        (
            "<a xmlns='http://www.w3.org/XML/1998/namespace'/>",
            Condition::NotWellFormed,
        ),
        ("<a xmlns:p=''/>", Condition::NotWellFormed),
        ("<a xmlns:xmlns='urn:x'/>", Condition::NotWellFormed),
        ("<p:a/>", Condition::BadNamespacePrefix),
        ("<a p:b='x'/>", Condition::BadNamespacePrefix),
        ("<xmlns:a/>", Condition::BadNamespacePrefix),
        ("<xml:a/>", Condition::InvalidNamespace),
        ("<a xmlns='urn:a b'/>", Condition::InvalidNamespace),
        ("<a xmlns='urn:a\u{7f}b'/>", Condition::InvalidNamespace),
        (
            "<message xmlns='jabber:server'/>",
            Condition::InvalidNamespace,
        ),
        (
            "<message><body xmlns='jabber:server'/></message>",
            Condition::InvalidNamespace,
        ),
        (
            "<message><s:body xmlns:s='jabber:server'/></message>",
            Condition::InvalidNamespace,
        ),
        ("<a/><b/>", Condition::NotWellFormed),
        ("<a>", Condition::NotWellFormed),
        ("a", Condition::NotWellFormed),
        ("", Condition::NotWellFormed),
    ] {
        assert_eq!(
            read(source).expect_err(source).condition,
            condition,
            "{source}"
        );
    }
    let invalid = canonicalize(b"<a>\xff</a>", Content::Client, XmlLimits::default());
    assert_eq!(
        invalid.expect_err("not UTF-8").condition,
        Condition::UnsupportedEncoding
    );
}

#[test]
fn the_header_says_where_everything_is() {
    let source = "<message type='chat' to='a&amp;b@c' id='7' xml:lang='de' from='x@y'>\
        <body>hi</body><c:active xmlns:c='http://jabber.org/protocol/chatstates'/> \
        <x xmlns=''/></message>";
    let (bytes, header) = read(source).expect("accepted");
    let at = |span: Option<Span>| text_of(span.expect("there"), &bytes).to_owned();
    assert_eq!(
        (header.kind, header.stanza_type),
        (Kind::Message, StanzaType::Chat)
    );
    assert_eq!(
        (header.known, header.namespace),
        (Namespace::Content, Span::default())
    );
    assert_eq!(
        [
            at(header.to),
            at(header.from),
            at(header.id),
            at(header.lang)
        ],
        ["a&amp;b@c", "x@y", "7", "de"]
    );
    assert!(bytes[..header.head_end as usize].ends_with("from=\"x@y\">"));
    assert_eq!(header.whole, Span::new(0, bytes.len()));
    assert_eq!(text_of(header.name, &bytes), "message");
    let flags = Flags::BODY | Flags::CHAT_STATE | Flags::ESCAPED | Flags::LANG | Flags::OTHER_CHILD;
    assert_eq!(header.flags, flags);
    let children: Vec<_> = header
        .children
        .iter()
        .map(|child| {
            (
                child.known,
                text_of(child.namespace, &bytes),
                text_of(child.whole, &bytes),
            )
        })
        .collect();
    let chat_states = "http://jabber.org/protocol/chatstates";
    let active = "<active xmlns=\"http://jabber.org/protocol/chatstates\"/>";
    assert_eq!(
        children,
        [
            (Namespace::Content, "", "<body>hi</body>"),
            (Namespace::ChatStates, chat_states, active),
            (Namespace::None, "", "<x xmlns=\"\"/>"),
        ]
    );
    assert_eq!(header.child_count, 3);
}

#[test]
fn a_head_ends_behind_the_start_tag_also_of_an_empty_element() {
    for source in [
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<presence></presence>",
        "<iq id='1'><a/></iq>",
    ] {
        let (bytes, header) = read(source).expect("accepted");
        assert_eq!(
            header.head_end as usize,
            bytes.find('>').expect("a tag") + 1,
            "{source}"
        );
    }
}

#[test]
fn only_sixteen_children_are_described_but_all_are_counted() {
    let source = format!("<iq>{}</iq>", "<a/>".repeat(20));
    let (bytes, header) = read(&source).expect("accepted");
    assert_eq!((header.children.len(), header.child_count), (16, 20));
    assert!(
        header
            .children
            .iter()
            .all(|child| text_of(child.whole, &bytes) == "<a/>")
    );
}

#[test]
fn from_and_language_are_stamped_on_stanzas_only() {
    for fast in [false, true] {
        stamp_some(fast);
    }
}

fn stamp_some(fast: bool) {
    let mut reader = reader(OPEN);
    reader.fast_lane(fast);
    reader.stamp_from(Some("u@a.example/r&r"));
    let mut out = b"kept".to_vec();
    for (source, written, flags) in [
        (
            "<presence/>",
            "<presence from=\"u@a.example/r&amp;r\" xml:lang=\"en\"/>",
            Flags::ESCAPED,
        ),
        (
            "<iq from='u@a.example' id='1' xml:lang='fr'/>",
            "<iq from=\"u@a.example/r&amp;r\" id=\"1\" xml:lang=\"fr\"/>",
            Flags::ESCAPED | Flags::LANG,
        ),
        (
            "<iq from='u@a.example/r&#38;r' id='1'/>",
            "<iq from=\"u@a.example/r&amp;r\" xml:lang=\"en\" id=\"1\"/>",
            Flags::ESCAPED,
        ),
        (
            "<iq from='U@A.Example/r&amp;r'/>",
            "<iq from=\"u@a.example/r&amp;r\" xml:lang=\"en\"/>",
            Flags::ESCAPED,
        ),
        (
            "<iq from='u@a.example/r' id='1'/>",
            "<iq from=\"u@a.example/r&amp;r\" xml:lang=\"en\" id=\"1\"/>",
            Flags::ESCAPED | Flags::FROM_MISMATCH,
        ),
        (
            "<r xmlns='urn:xmpp:sm:3'/>",
            "<r xmlns=\"urn:xmpp:sm:3\"/>",
            Flags::empty(),
        ),
    ] {
        let start = out.len();
        let mut input = source.as_bytes();
        let Some(Item::Stanza(header)) = reader.next(&mut input, &mut out).expect(source) else {
            panic!("{source}")
        };
        assert_eq!(header.flags, flags, "{source}");
        assert_eq!(header.whole.start as usize, start);
        let from = header.from.map(|span| span.of(&out));
        assert_eq!(
            from,
            (header.kind != Kind::Other).then_some(&b"u@a.example/r&amp;r"[..])
        );
        assert_eq!(String::from_utf8_lossy(&out[start..]), written);
    }
    assert!(out.starts_with(b"kept"));
}

#[test]
fn an_address_that_is_set_inside_an_element_ends_the_stream() {
    for fast in [false, true] {
        let mut reader = reader(OPEN_PLAIN);
        reader.fast_lane(fast);
        let mut out = Vec::new();
        assert_eq!(
            reader.next(&mut &b"<message from='x'>"[..], &mut out),
            Ok(None)
        );
        reader.stamp_from(Some("u@a.example/r"));
        assert!(reader.next(&mut &b"</message>"[..], &mut out).is_err());
        assert!(out.is_empty());
    }
}

#[test]
fn a_long_language_of_a_stream_is_not_stamped() {
    for (length, stamped) in [(64, true), (65, false)] {
        let open = format!(
            "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' \
             xml:lang='{}'>",
            "x".repeat(length)
        );
        let mut reader = reader(open.as_bytes());
        let mut out = Vec::new();
        assert!(reader.next(&mut &b"<presence/>"[..], &mut out).is_ok());
        assert_eq!(out.len() > 20, stamped, "{length}");
    }
}

#[test]
fn prefixes_of_the_stream_header_hold_for_stanzas_also_after_the_parser_was_dropped() {
    let mut reader = reader(OPEN_PLAIN);
    let mut out = Vec::new();
    for _ in 0..2 {
        let mut input = &b" <stream:error xmlns:x='urn:x'><x:y/></stream:error>\n"[..];
        let found = reader.next(&mut input, &mut out).expect("accepted");
        assert!(matches!(found, Some(Item::Stanza(_))));
        assert_eq!(
            String::from_utf8_lossy(&out),
            "<error xmlns=\"http://etherx.jabber.org/streams\"><y xmlns=\"urn:x\"/></error>"
        );
        out.clear();
        assert_eq!(reader.next(&mut input, &mut out), Ok(None));
        reader.release_temporaries();
    }
    assert_eq!(
        reader.next(&mut &b"</stream:stream>"[..], &mut out),
        Ok(Some(Item::Close))
    );
    let mut behind = &b"<message/>"[..];
    assert_eq!(reader.next(&mut behind, &mut out), Ok(None));
    assert!(behind.is_empty(), "what follows the end is not read");
}

#[test]
fn nothing_but_white_space_may_stand_between_stanzas() {
    for (between, condition) in [
        (&b"x<a/>"[..], Condition::BadFormat),
        (b"<![CDATA[x]]><a/>", Condition::BadFormat),
        (b"&amp;<a/>", Condition::BadFormat),
        (b"</wrong>", Condition::NotWellFormed),
        (b"<!--x-->", Condition::RestrictedXml),
    ] {
        let mut reader = reader(OPEN_PLAIN);
        let error = reader
            .next(&mut &*between, &mut Vec::new())
            .expect_err("refused");
        assert_eq!(error.condition, condition);
    }
}

#[test]
fn a_reset_reader_expects_a_new_stream() {
    let mut reader = reader(OPEN);
    reader.reset();
    let again = [b" \n", OPEN_PLAIN].concat();
    let found = reader.next(&mut &*again, &mut Vec::new());
    assert!(matches!(found, Ok(Some(Item::Open(_)))));
    let mut out = Vec::new();
    assert!(reader.next(&mut &b"<presence/>"[..], &mut out).is_ok());
    assert_eq!(
        out, b"<presence/>",
        "the old stream's language is forgotten"
    );
}

#[test]
fn an_unfinished_stanza_is_kept_and_counted() {
    let mut reader = reader(OPEN_PLAIN);
    let mut out = Vec::new();
    assert_eq!(reader.next(&mut &b"  <message><bo"[..], &mut out), Ok(None));
    assert!(!reader.is_idle() && out.is_empty());
    assert_eq!(reader.pending_bytes(), 12);
    reader.release_temporaries();
    let mut rest = &b"dy/></message><next/>"[..];
    assert!(matches!(
        reader.next(&mut rest, &mut out),
        Ok(Some(Item::Stanza(_)))
    ));
    assert_eq!(
        (&out[..], rest),
        (&b"<message><body/></message>"[..], &b"<next/>"[..])
    );
    assert_eq!((reader.pending_bytes(), reader.is_idle()), (0, true));
}
