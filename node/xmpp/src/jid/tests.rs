use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_parts_of_an_address_are_found() {
    for (text, local, domain, resource) in [
        ("a.example", None, "a.example", None),
        ("u@a.example", Some("u"), "a.example", None),
        ("u@a.example/r", Some("u"), "a.example", Some("r")),
        ("a.example/r", None, "a.example", Some("r")),
        ("a.example/u@b/c", None, "a.example", Some("u@b/c")),
        ("u@localhost/a/b@c", Some("u"), "localhost", Some("a/b@c")),
    ] {
        let jid = jid(text);
        assert_eq!(
            (jid.local(), jid.domain(), jid.resource()),
            (local, domain, resource)
        );
        assert_eq!(jid.as_str(), text);
        assert_eq!(jid.is_full(), resource.is_some());
        assert_eq!(jid.is_domain(), text == "a.example");
        assert_eq!(jid.bare_str(), bare_of(text));
        assert_eq!(jid.to_bare().as_str(), bare_of(text));
        assert_eq!(Jid::from_parts(local, domain, resource), Ok(jid));
    }
}

#[test]
fn parts_are_prepared() {
    for (text, prepared) in [
        (
            "Juliet@CAPULET.example/Balcony",
            "juliet@capulet.example/Balcony",
        ),
        ("ｊｕｌｉｅｔ@a", "juliet@a"),
        ("Straße@Straße.example", "straße@straße.example"),
        ("ΑΣ@a", "ας@a"),
        ("e\u{301}@a/e\u{301}", "é@a/é"),
        ("a@xn--bcher-kva.example", "a@bücher.example"),
        ("a@XN--BCHER-KVA.example", "a@bücher.example"),
        ("a@exa。mple.org.", "a@exa.mple.org"),
        ("a.example.", "a.example"),
        ("a@[0:0::1]/r", "a@[::1]/r"),
        ("a@127.0.0.1", "a@127.0.0.1"),
        ("a/ \u{a0}\u{3000}x ", "a/   x "),
        ("a/Ａ", "a/Ａ"),
        ("a/😀🤣🥹👩‍👩‍👧❤\u{fe0f}", "a/😀🤣🥹👩‍👩‍👧❤\u{fe0f}"),
        ("ᎠᏰ@a", "ꭰᏸ@a"),
        ("שלום@a", "שלום@a"),
        ("שָׁלוֹם@a", "שָׁלוֹם@a"),
        ("l·l@a", "l·l@a"),
        ("ab--cd@ab--cd.example", "ab--cd@ab--cd.example"),
    ] {
        assert_eq!(jid(text).as_str(), prepared, "{text}");
        assert!(is_prepared(jid(text).as_str()), "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused_for_the_right_part() {
    use JidError as E;
    for (text, error) in [
        ("", E::EmptyDomain),
        ("@", E::EmptyLocal),
        ("/", E::EmptyDomain),
        ("@a", E::EmptyLocal),
        ("a@", E::EmptyDomain),
        ("a@/r", E::EmptyDomain),
        ("a/", E::EmptyResource),
        ("u@a/", E::EmptyResource),
        ("a@b@c", E::BadDomain),
        ("*.x.org", E::BadDomain),
        ("a..b", E::BadDomain),
        (".a", E::BadDomain),
        (".", E::BadDomain),
        ("a..", E::BadDomain),
        ("a_b.example", E::BadDomain),
        ("-a.example", E::BadDomain),
        ("a-.example", E::BadDomain),
        ("a b", E::BadDomain),
        ("[::1", E::BadDomain),
        ("[::1%eth0]", E::BadDomain),
        ("[a]", E::BadDomain),
        ("xn--a.example", E::BadDomain),
        ("a\u{ad}@a", E::BadLocal),
        ("a b@c", E::BadLocal),
        ("a\"b@c", E::BadLocal),
        ("a&b@c", E::BadLocal),
        ("a'b@c", E::BadLocal),
        ("a:b@c", E::BadLocal),
        ("a<b@c", E::BadLocal),
        ("a>b@c", E::BadLocal),
        ("＠@c", E::BadLocal),
        ("\u{3000}@c", E::BadLocal),
        ("😀@c", E::BadLocal),
        ("♚@c", E::BadLocal),
        ("ﬁ@c", E::BadLocal),
        ("Ⅳ@c", E::BadLocal),
        ("a\u{200d}@c", E::BadLocal),
        ("a·b@c", E::BadLocal),
        ("\u{378}@c", E::BadLocal),
        ("aא@c", E::BadLocal),
        ("א1a@c", E::BadLocal),
        ("٠۰א@c", E::BadLocal),
        ("a\u{7f}@c", E::BadLocal),
        ("\u{1100}@c", E::BadLocal),
        ("c/\u{7}", E::BadResource),
        ("c/\u{7f}", E::BadResource),
        ("c/\u{e000}", E::BadResource),
        ("c/a\u{200d}", E::BadResource),
        ("c/1\u{fe0f}", E::BadResource),
        ("c/\u{202e}", E::BadResource),
        ("c/\u{2028}", E::BadResource),
        ("c/\u{ffff}", E::BadResource),
        ("c/\n", E::BadResource),
    ] {
        assert_eq!(Jid::parse(text), Err(error), "{text:?}");
        assert!(!is_prepared(text), "{text:?}");
    }
}

#[test]
fn each_part_has_its_greatest_length() {
    let long = |bytes: usize| "a".repeat(bytes);
    let labels = [long(63), long(63), long(63), long(61)].join(".");
    let longest = format!("{}@{labels}/{}", long(1023), long(1023));
    assert_eq!(jid(&longest).as_str(), longest);
    assert_eq!(
        Jid::parse(&format!("{}@b", long(1024))),
        Err(JidError::TooLong)
    );
    assert_eq!(
        Jid::parse(&format!("b/{}", long(1024))),
        Err(JidError::TooLong)
    );
    assert_eq!(
        Jid::parse(&format!("{}é@b", long(1022))),
        Err(JidError::TooLong)
    );
    assert_eq!(
        Jid::parse(&format!("b/{}é", long(1022))),
        Err(JidError::TooLong)
    );
    assert_eq!(Jid::parse(&format!("{labels}a")), Err(JidError::BadDomain));
    assert_eq!(Jid::parse(&long(64)), Err(JidError::BadDomain));
    assert_eq!(Jid::parse(&long(1024)), Err(JidError::TooLong));
    assert_eq!(Jid::parse(&long(1_000_000)), Err(JidError::TooLong));
}

#[test]
fn resources_are_exchanged_and_bare_addresses_compared() {
    let full = jid("u@a/r");
    assert_eq!(full.with_resource("s\u{a0}t").unwrap().as_str(), "u@a/s t");
    assert_eq!(full.to_bare().with_resource("r").unwrap(), full);
    assert_eq!(full.with_resource(""), Err(JidError::EmptyResource));
    assert_eq!(full.to_domain().as_str(), "a");
    assert!(full.same_bare(&jid("U@A")));
    assert!(!full.same_bare(&jid("v@a/r")));
}

#[test]
fn a_map_is_asked_with_text() {
    let map = HashMap::from([(jid("u@a"), 1)]);
    assert_eq!(map.get("u@a"), Some(&1));
    assert_eq!(map.get(&jid("U@a")), Some(&1));
}

#[test]
fn an_address_is_small() {
    assert!(size_of::<Jid>() <= 24);
    assert!(size_of::<Option<Jid>>() <= 24);
}

#[test]
fn the_stored_form_is_the_text() {
    let stored = serde_json::to_string(&jid("U@a/r")).unwrap();
    assert_eq!(stored, "\"u@a/r\"");
    assert_eq!(
        serde_json::from_str::<Jid>("\"U@a/\\u0072\"").unwrap(),
        jid("u@a/r")
    );
    assert!(serde_json::from_str::<Jid>("\"@a\"").is_err());
}

/// Texts out of the pieces that matter: separators, cases, widths, marks, spaces, right-to-left,
/// joiners, ignorables.
fn odd_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9.@/-]{1,4}",
        2 => "\\PC{1,3}",
        1 => any::<char>().prop_map(String::from),
        2 => prop::sample::select(vec![
            "@", "/", ".", "xn--", "[::1]", "\u{301}", "\u{345}", "\u{200d}", "\u{200c}", "\u{fe0f}",
            "\u{b7}", "l", "İ", "Σ", "ß", "ẞ", "א", "٠", "۰", "م", "्", "ｱ", "ﾞ", "Ａ", "。", " ", "\u{a0}",
            "\u{3000}", "ﬁ", "Å", "Ω", "K", "❤",
            "👩", "ǅ", "ㄱ", "가", "\u{1100}", "\u{1161}", "·", "ϒ\u{301}", "ᾳ", "ᾼ", "\u{37f}", "ͅΑ", "\u{1e9e}",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn preparation_settles_at_once_and_parts_join_to_the_same(text in odd_text()) {
        let Ok(jid) = Jid::parse(&text) else {
            prop_assert!(!is_prepared(&text));
            return Ok(());
        };
        prop_assert_eq!(is_prepared(&text), jid.as_str() == text);
        prop_assert_eq!(Jid::parse(jid.as_str()), Ok(jid.clone()));
        prop_assert!(is_prepared(jid.as_str()));
        prop_assert_eq!(Jid::from_parts(jid.local(), jid.domain(), jid.resource()), Ok(jid.clone()));
        prop_assert_eq!(bare_of(jid.as_str()), jid.bare_str());
    }

    #[test]
    fn the_short_way_and_the_long_way_agree(text in "[a-cA-C0-9.@/ \"&'_:*\\[\\]-]{0,12}|xn--[a-z0-9-]{0,5}") {
        let (local, domain, resource) = split::split(&text);
        let long = Jid::from_parts(local, domain, resource);
        if let Some(lengths) = split::scan_prepared(&text) {
            let long = long.as_ref().map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(long.as_str(), &text);
            prop_assert_eq!((long.local_len, long.bare_len), (lengths.local, lengths.bare));
        }
        prop_assert_eq!(Jid::parse(&text), long);
    }
}

#[test]
fn a_text_is_readable_if_nothing_in_it_is_hidden() {
    for text in ["plain", "ü@exämple.org", "日本語", "שלום", "a b"] {
        assert!(is_readable(text), "{text}");
    }
    for text in [
        "",
        "a\u{202e}b",
        "a\u{2066}",
        "\u{200b}x",
        "\u{feff}",
        "a\nb",
        "\u{9b}",
    ] {
        assert!(!is_readable(text), "{text:?}");
    }
}
