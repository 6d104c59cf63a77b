use proptest::prelude::*;

use super::*;
use crate::stanza::{Children, parse_rec};

fn parsed(text: &str) -> Element {
    Element::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn reason(text: &str) -> &'static str {
    match Element::parse(text.as_bytes()) {
        Ok(element) => panic!("{text} was taken for {element}"),
        Err(error) => error.reason,
    }
}

#[test]
fn a_stanza_is_read_with_its_namespaces_and_written_back() {
    let text = "<iq to=\"a@b/c\" xml:lang=\"de\"><query xmlns=\"jabber:iq:roster\" ver=\"\"><item jid=\"x@y\">\
                <group>A &amp; B</group></item></query><z xmlns=\"\"><message xmlns=\"jabber:client\"/></z></iq>";
    let iq = parsed(text);
    assert!(iq.is("iq", "jabber:client"));
    assert_eq!(iq.attr("xml:lang"), Some("de"));
    assert_eq!(iq.attr("from"), None);
    let query = iq.child("query", "jabber:iq:roster").unwrap();
    let item = query.elements().next().unwrap();
    assert_eq!(item.ns(), "jabber:iq:roster");
    assert_eq!(
        item.child("group", "jabber:iq:roster").unwrap().text(),
        "A & B"
    );
    assert_eq!(
        iq.child("z", "").unwrap().elements().next().unwrap().ns(),
        "jabber:client"
    );
    assert_eq!(iq.to_string(), text);
}

#[test]
fn foreign_attributes_keep_their_namespace_and_share_a_declaration() {
    let text =
        "<a b=\"1\" xmlns:a0=\"urn:x\" a0:b=\"2\" xmlns:a1=\"urn:y\" a1:b=\"3\" a0:c=\"4\"/>";
    let element = parsed(text);
    assert_eq!(element.attr("b"), Some("1"));
    assert_eq!(
        element.attrs()[1].ns.as_ref().map(Word::as_str),
        Some("urn:x")
    );
    assert_eq!(element.to_string(), text);
}

#[test]
fn every_other_spelling_is_refused() {
    for text in [
        "",
        "<",
        "a",
        "<a",
        "<a>",
        "<a/",
        "<a/>b",
        " <a/>",
        "<a/><b/>",
        "<a></a>",
        "<a />",
        "<a b=\"1\" />",
        "<a  b=\"1\"/>",
        "<a b='1'/>",
        "<a b=1/>",
        "<a b = \"1\"/>",
        "<a b=\"1\"c=\"2\"/>",
        "<a b=\"1\" b=\"2\"/>",
        "<a b=\"1\" xmlns=\"x\"/>",
        "<a xmlns=\"jabber:client\"/>",
        "<a xmlns=\"x\"><b xmlns=\"x\"/></a>",
        "<a xmlns:p=\"x\" p:b=\"1\"/>",
        "<p:a xmlns:p=\"x\"/>",
        "<a xmlns:a0=\"x\"/>",
        "<a a0:b=\"1\"/>",
        "<a xmlns:a0=\"x\" b=\"1\" a0:c=\"2\"/>",
        "<a xmlns:a0=\"\" a0:b=\"1\"/>",
        "<a xmlns:a1=\"x\" a1:b=\"1\"/>",
        "<a xmlns:a0=\"x\" a00:b=\"1\"/>",
        "<a xmlns:a0=\"x\" a0:b=\"1\" xmlns:a1=\"x\" a1:c=\"1\"/>",
        "<a>]]></a>",
        "<a>\r</a>",
        "<a>&apos;</a>",
        "<a>&quot;</a>",
        "<a>&#65;</a>",
        "<a b=\"\t\"/>",
        "<a>b</c>",
        "<a>b</a >",
        "<a><b></a></b>",
        "</a>",
        "<a><!-- --></a>",
        "<a><![CDATA[b]]></a>",
        "<?a?>",
        "<a>\u{1}</a>",
        "<a>\u{fffe}</a>",
        "<1a/>",
        "<é/>",
        "<a é=\"1\"/>",
        "<a xmlns=\"http://www.w3.org/XML/1998/namespace\"/>",
        "<a xmlns=\"a b\"/>",
        "<a xml:=\"1\"/>",
        "<a :b=\"1\"/>",
        "<a xml:lang=\"1\" xml:lang=\"1\"/>",
        "<a><b/>",
    ] {
        reason(text);
    }
    assert!(Element::parse(b"<a>\xc3</a>").is_err());
}

#[test]
fn depth_and_attributes_are_bounded() {
    let nested = |depth: usize| {
        format!(
            "{}<b/>{}",
            "<a>".repeat(depth - 1),
            "</a>".repeat(depth - 1)
        )
    };
    assert!(Element::parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(reason(&nested(DEPTH_MAX + 1)), "too deep");
    assert_eq!(reason(&nested(100_000)), "too deep");
    let wide = |count: usize| {
        let attrs: String = (0..count).map(|n| format!(" b{n}=\"\"")).collect();
        format!("<a{attrs}/>")
    };
    assert!(Element::parse(wide(ATTRIBUTES_MAX).as_bytes()).is_ok());
    assert_eq!(reason(&wide(ATTRIBUTES_MAX + 1)), "too many attributes");
}

#[test]
fn changing_a_tree_keeps_its_order_and_joins_its_texts() {
    let mut element = parsed("<a b=\"1\" c=\"2\">x<d/>y<e/></a>");
    element.set_attr("b", "3");
    assert_eq!(element.remove_attr("c").as_deref(), Some("2"));
    assert_eq!(element.remove_attr("c"), None);
    element.retain_children(|child| child.name() != "d");
    element.push_text("");
    element.push_text("z");
    element.push_text("!");
    assert_eq!(element.to_string(), "<a b=\"3\">xy<e/>z!</a>");
    assert_eq!(element.text(), "xyz!");
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("body".to_owned()),
        Just("a0".to_owned()),
        "[a-zA-Z_][-a-zA-Z0-9._]{0,6}".prop_filter("reserved", |name| name != "xmlns"),
    ]
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::from("jabber:client")),
        2 => Just(String::from("urn:x")),
        1 => Just(String::new()),
        1 => Just(String::from("urn:ü&\"<>'")),
    ]
}

/// Text that XML can carry: everything else is replaced when written, by intent.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{1,8}",
        Just("&<>\"'\t\n\r]]>&amp;".to_owned()),
        Just("é😀\u{85}\u{2028}\u{fffd}".to_owned()),
    ];
    prop::collection::vec(piece, 1..3).prop_map(|pieces| pieces.concat())
}

fn attrs() -> impl Strategy<Value = Vec<(Option<String>, String, String)>> {
    let ns = prop_oneof![3 => Just(None), 1 => Just(Some("urn:x".into())), 1 => Just(Some("urn:y&".into()))];
    prop::collection::vec((ns, name(), text()), 0..5)
}

fn tree() -> impl Strategy<Value = Element> {
    let shell = (name(), namespace(), attrs()).prop_map(|(name, ns, attrs)| {
        let mut element = Element::new(name, ns);
        for (ns, name, value) in attrs {
            element.put_attr(ns.map(Word::from), name.into(), value);
        }
        element
    });
    let shell = shell.boxed();
    shell.clone().prop_recursive(5, 24, 5, move |inner| {
        let child = prop_oneof![inner.prop_map(Ok), text().prop_map(Err)];
        (shell.clone(), prop::collection::vec(child, 0..5)).prop_map(|(mut element, children)| {
            for child in children {
                match child {
                    Ok(child) => element.push_child(child),
                    Err(text) => element.push_text(&text),
                }
            }
            element
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(element in tree()) {
        let bytes = element.to_bytes();
        let again = Element::parse(&bytes).map_err(|e| TestCaseError::fail(format!("{element}: {e}")))?;
        prop_assert_eq!(&again, &element);
        prop_assert_eq!(again.to_bytes(), &bytes);
        let rec = parse_rec(&bytes).expect("whatever is canonical has a record");
        prop_assert_eq!(Children::of(&bytes, &rec).count(), element.elements().count());
    }

    #[test]
    fn whatever_is_read_is_written_back_to_the_byte(
        element in tree(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = element.to_bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.remove(at); } else { bytes[at] = byte; }
        if let Ok(other) = Element::parse(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes);
        }
    }
}
