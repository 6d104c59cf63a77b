//! Limits, hostile shapes, and what a reader costs.

use rookery_xmpp::stream_error::StreamCondition;
use rookery_xmpp::xml::testing::{Setup, read};
use rookery_xmpp::xml::{Content, Item, ReadError, Reader, UnknownReason, XmlLimits};

fn setup(limits: XmlLimits) -> Setup {
    Setup {
        limits,
        ..Setup::all()[0].clone()
    }
}

/// Reads one element whole and byte by byte in both lanes, which must agree.
fn outcome(limits: &XmlLimits, source: &str) -> Result<usize, ReadError> {
    let setup = setup(limits.clone());
    let bytes: Vec<&[u8]> = source.as_bytes().chunks(1).collect();
    let [whole, fast, slow] = [
        read(&mut setup.reader(true), &[source.as_bytes()], |_| {}),
        read(&mut setup.reader(true), &bytes, |_| {}),
        read(&mut setup.reader(false), &bytes, |_| {}),
    ];
    assert_eq!(whole, fast);
    assert_eq!(whole, slow);
    whole.error.map_or(Ok(whole.items.len()), Err)
}

fn assert_limit(limits: &XmlLimits, at_most: &str, too_much: &str) {
    assert_eq!(outcome(limits, at_most), Ok(1), "{at_most}");
    let error = outcome(limits, too_much).expect_err(too_much);
    assert_eq!(
        error.condition,
        StreamCondition::PolicyViolation,
        "{too_much}"
    );
}

#[test]
fn each_limit_lets_its_own_number_through_and_not_one_more() {
    let limits = XmlLimits {
        stanza_bytes_max: 200,
        depth_max: 3,
        attributes_max: 5,
        namespaces_max: 3,
        elements_max: 4,
    };
    let text = |length: usize| format!("<a>{}</a>", "x".repeat(length - 7));
    assert_limit(&limits, &text(200), &text(201));
    assert_limit(&limits, "<a><b><c/></b></a>", "<a><b><c><d/></c></b></a>");
    assert_limit(
        &limits,
        "<a b='1' c='2' d='3' e='4' f='5'/>",
        "<a b='' c='' d='' e='' f='' g=''/>",
    );
    // The stream declares one itself.
    assert_limit(
        &limits,
        "<a xmlns:p='u' xmlns:q='v'/>",
        "<a xmlns:p='u' xmlns:q='v' xmlns:r='w'/>",
    );
    assert_limit(&limits, "<a><b/><b/><b/></a>", "<a><b/><b/><b/><b/></a>");
}

#[test]
fn what_grows_in_the_canonical_form_is_measured_there() {
    let limits = XmlLimits {
        stanza_bytes_max: 200,
        ..XmlLimits::default()
    };
    assert_limit(
        &limits,
        &format!("<a>{}</a>", ">".repeat(48)),
        &format!("<a>{}</a>", ">".repeat(49)),
    );
    let quotes = |count: usize| format!("<a b='{}'/>", "\"".repeat(count));
    assert_limit(&limits, &quotes(31), &quotes(32));
    let bomb = |count| {
        format!(
            "<a xmlns:p='{}'>{}</a>",
            "u".repeat(60),
            "<p:b/>".repeat(count)
        )
    };
    assert_limit(&limits, &bomb(2), &bomb(3));
    // As written there is one attribute more than as read.
    let limits = XmlLimits {
        attributes_max: 3,
        ..XmlLimits::default()
    };
    let inner = |count: usize| {
        let attributes: String = (0..count).map(|n| format!(" p:b{n}=''")).collect();
        format!("<a xmlns:p='u'><b{attributes}/></a>")
    };
    assert_limit(&limits, &inner(2), &inner(3));
}

#[test]
fn before_authentication_eight_kibibytes_and_32_elements_pass() {
    let limits = XmlLimits::before_authentication();
    let text = |length: usize| format!("<a>{}</a>", "x".repeat(length - 7));
    assert_limit(&limits, &text(8192), &text(8193));
    let children = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
    assert_limit(&limits, &children(31), &children(32));
}

#[test]
fn a_stream_header_has_the_same_limits() {
    let mut reader = Reader::new(Content::Client, XmlLimits::before_authentication());
    let endless = [b"<stream:stream a='", &[b'x'; 9000][..]].concat();
    let error = reader
        .next(&mut &endless[..], &mut Vec::new())
        .expect_err("too long");
    assert_eq!(error.condition, StreamCondition::PolicyViolation);
    assert!(
        reader.is_idle() && reader.pending_bytes() == 0,
        "nothing is kept"
    );
}

/// Shapes of about `length` bytes that would make a careless reader slow.
fn hostile(length: usize) -> Vec<(&'static str, String)> {
    let repeat = |unit: &str| unit.repeat(length / unit.len());
    let mut shapes = vec![
        ("one text", format!("<a>{}</a>", repeat("x"))),
        ("text outside ASCII", format!("<a>{}</a>", repeat("é"))),
        ("text of >", format!("<a>{}</a>", repeat(">"))),
        ("text of CR", format!("<a>{}</a>", repeat("\r"))),
        ("text of ]", format!("<a>{}</a>", repeat("]"))),
        ("text of references", format!("<a>{}</a>", repeat("&amp;"))),
        (
            "text of long references",
            format!("<a>{}</a>", repeat("&#x0001F600;")),
        ),
        ("empty elements", format!("<a>{}</a>", repeat("<b/>"))),
        (
            "elements with two tags",
            format!("<a>{}</a>", repeat("<b></b>")),
        ),
        (
            "spaces in tags",
            format!("<a>{}</a>", repeat("<b      \n    ></b    >")),
        ),
        (
            "long values",
            format!(
                "<a>{}</a>",
                repeat(&format!("<b c='{}'/>", "v".repeat(7900)))
            ),
        ),
        (
            "values of quotes",
            format!(
                "<a>{}</a>",
                repeat(&format!("<b c='{}'/>", "\">".repeat(500)))
            ),
        ),
        (
            "long names",
            format!(
                "<a>{}</a>",
                repeat(&format!("<{0}></{0}>", "n".repeat(250)))
            ),
        ),
        (
            "long namespaces",
            format!(
                "<a>{}</a>",
                repeat(&format!("<b xmlns='{}'/>", "n".repeat(990)))
            ),
        ),
    ];
    let attributes: String = (0..14)
        .map(|n| format!(" aa{n}='{}'", "v".repeat(50)))
        .collect();
    shapes.push((
        "many attributes",
        format!("<a>{}</a>", repeat(&format!("<b{attributes}/>"))),
    ));
    shapes
}

#[test]
fn the_work_is_linear_however_the_bytes_come() {
    let limits = XmlLimits {
        stanza_bytes_max: 1 << 20,
        ..XmlLimits::default()
    };
    let setup = setup(limits);
    for (name, source) in hostile(40_000) {
        for chunk in [1, 7, 100, 1460, source.len()] {
            let mut reader = setup.reader(true);
            let mut out = Vec::new();
            let mut done = false;
            for bytes in source.as_bytes().chunks(chunk) {
                done = reader.next(&mut &*bytes, &mut out).expect(name).is_some();
            }
            assert!(
                done && reader.counts().fast == 1,
                "{name}: {:?}",
                reader.counts()
            );
            let looked = rookery_xmpp::xml::testing::looked(&reader);
            assert!(
                looked <= 4 * source.len(),
                "{name} by {chunk}: {looked} of {}",
                source.len()
            );
        }
    }
}

#[test]
fn a_reader_is_small_and_gives_up_nothing_of_an_unfinished_element() {
    assert!(size_of::<Reader>() <= 320, "{}", size_of::<Reader>());
    let mut reader = setup(XmlLimits::default()).reader(true);
    let mut out = Vec::new();
    let mut input = &b"<presence/><message><body>unfinished"[..];
    assert!(matches!(
        reader.next(&mut input, &mut out),
        Ok(Some(Item::Stanza(_)))
    ));
    assert_eq!(reader.next(&mut input, &mut out), Ok(None));
    assert_eq!(reader.pending_bytes(), 25);
    reader.release_temporaries();
    assert!(!reader.is_idle());
    assert!(
        reader
            .next(&mut &b"</body></message>"[..], &mut out)
            .is_ok()
    );
    reader.release_temporaries();
    assert!(reader.is_idle() && reader.pending_bytes() == 0);
    assert_eq!(
        out,
        b"<presence/><message><body>unfinished</body></message>"
    );
}

#[test]
fn lanes_and_reasons_are_counted() {
    let mut reader = setup(XmlLimits::default()).reader(true);
    let bytes = b"<a/><p:b xmlns:p='u'/><c><![CDATA[x]]></c><d/> <e b='<'/>";
    let reading = read(&mut reader, &[bytes], |_| {});
    assert!(reading.error.is_some());
    let counts = reader.take_counts();
    assert_eq!((counts.fast, counts.reference), (2, 2));
    let reasons: Vec<_> = UnknownReason::ALL
        .into_iter()
        .filter(|reason| counts.unknown(*reason) > 0)
        .collect();
    assert_eq!(
        reasons,
        [
            UnknownReason::Colon,
            UnknownReason::Markup,
            UnknownReason::Value
        ]
    );
    assert_eq!(reader.counts().fast, 0);
}

#[test]
fn the_fast_lane_rests_where_the_content_namespace_is_not_the_default() {
    let mut reader = Reader::new(Content::Client, XmlLimits::default());
    reader.fast_lane(true);
    let bytes = b"<stream xmlns='http://etherx.jabber.org/streams'>\
        <message xmlns='jabber:client'><body/></message><error/>";
    let reading = read(&mut reader, &[bytes], |_| {});
    assert_eq!((reading.items.len(), reading.error), (3, None));
    assert_eq!((reader.counts().fast, reader.counts().reference), (0, 2));
}
