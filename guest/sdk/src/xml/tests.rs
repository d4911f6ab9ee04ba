use super::*;

#[test]
fn document_is_parsed_with_text_references_cdata_and_children() {
    let text = "<?xml version=\"1.0\"?>\n<!-- c --><a xmlns=\"http://x/\" b='1'>t<s:b>1 &lt;&#65;&#x1F4A7;&amp;</s:b>\
                <b><![CDATA[<raw>]]></b><c/> u</a>\n";
    let document = document(text.as_bytes(), "a").unwrap();
    let root = document.root();
    assert_eq!(root.content(), "t u");
    assert_eq!(root.raw_text("b"), Some("1 <A💧&"));
    assert_eq!(root.children_named("b").map(|b| b.content()).collect::<Vec<_>>(), ["1 <A💧&", "<raw>"]);
    assert_eq!((root.raw_text("c"), root.text("c"), root.raw_text("d")), (Some(""), None, None));
}

/// Services send them in keys, although XML 1.0 excludes them.
#[test]
fn control_characters_in_references_are_accepted() {
    assert_eq!(document(b"<a>x&#x1;&#31;\x02</a>", "a").unwrap().root().content(), "x\u{1}\u{1f}\u{2}");
}

#[test]
fn truncated_or_unbalanced_document_is_not_complete() {
    for text in ["", "a", "<a>", "<a><b></a>", "<a></a><b/>", "<a></b>", "<a>&what;</a>", "<a", "{\"a\": 1}", "</a>"] {
        let (root, whole) = read(text);
        assert!(!whole || root.is_none(), "{text}");
        assert!(document(text.as_bytes(), "a").is_err(), "{text}");
    }
    let (root, whole) = read("<Error><Code>SlowDown</Code><Message>Please re");
    assert_eq!((root.unwrap().root().text("Code"), whole), (Some("SlowDown"), false));
    assert!(document(b"<a>\xff</a>", "a").is_err());
    assert!(document(b"<b/>", "a").unwrap_err().0.contains("<b>, not <a>"));
}

#[test]
fn depth_and_element_count_are_limited() {
    assert!(document("<a>".repeat(MAX_DEPTH + 1).as_bytes(), "a").is_err());
    let deep = "<a>".repeat(MAX_DEPTH) + &"</a>".repeat(MAX_DEPTH);
    assert!(document(deep.as_bytes(), "a").is_ok());
    let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
    assert!(document(many.as_bytes(), "a").is_err());
}

proptest::proptest! {
    #[test]
    fn written_element_is_parsed_back(text in "\\PC{0,60}|[<>&\"'\\r\\n\\t a\\]]{0,30}") {
        proptest::prop_assume!(can_hold(&text.replace('\r', "")));
        let mut out = String::new();
        push_element(&mut out, "Key", &text);
        let document = document(out.as_bytes(), "Key").unwrap();
        proptest::prop_assert_eq!(document.root().content(), text);
    }
}
