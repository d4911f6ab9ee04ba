//! Compares the parser with quick-xml: both parse complete documents alike, and ours accepts nothing that quick-xml rejects.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use quick_xml::events::Event;

use super::*;

/// An element with its text and children.
#[derive(Debug, Default, PartialEq)]
struct Tree {
    name: String,
    text: String,
    children: Vec<Tree>,
}

impl From<Element<'_>> for Tree {
    fn from(element: Element<'_>) -> Self {
        let children = element.children().map(Tree::from).collect();
        Tree { name: element.name().into(), text: element.content().into(), children }
    }
}

/// [`read`] implemented with quick-xml.
fn known(text: &str) -> (Option<Tree>, bool) {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('<') {
        return (None, false);
    }
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut open: Vec<Tree> = Vec::new();
    let mut elements = 0;
    let mut root = None;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                elements += 1;
                if open.len() == MAX_DEPTH || elements > MAX_ELEMENTS || root.is_some() {
                    break;
                }
                open.push(Tree { name: start.local_name().into_inner().to_owned(), ..Tree::default() });
            }
            Ok(Event::Empty(start)) => {
                elements += 1;
                if elements > MAX_ELEMENTS || root.is_some() {
                    break;
                }
                let element = Tree { name: start.local_name().into_inner().to_owned(), ..Tree::default() };
                close(&mut open, &mut root, element);
            }
            Ok(Event::End(end)) => match open.pop() {
                Some(element) if element.name == end.local_name().into_inner() => close(&mut open, &mut root, element),
                Some(element) => {
                    open.push(element);
                    break;
                }
                None => break,
            },
            Ok(Event::Text(text)) => push(&mut open, &text.xml10_content()),
            Ok(Event::CData(text)) => push(&mut open, &text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => match reference.resolve_char_ref() {
                Ok(Some(c)) => push(&mut open, c.encode_utf8(&mut [0; 4])),
                _ => match &*reference {
                    "lt" => push(&mut open, "<"),
                    "gt" => push(&mut open, ">"),
                    "amp" => push(&mut open, "&"),
                    "quot" => push(&mut open, "\""),
                    "apos" => push(&mut open, "'"),
                    _ => break,
                },
            },
            Ok(Event::Eof) if open.is_empty() => return (root, true),
            Ok(Event::Eof | Event::DocType(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    open.pop_if(|element| element.children.is_empty());
    while let Some(element) = open.pop() {
        close(&mut open, &mut root, element);
    }
    (root, false)
}

fn push(open: &mut [Tree], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn close(open: &mut [Tree], root: &mut Option<Tree>, element: Tree) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => {
            root.get_or_insert(element);
        }
    }
}

/// Asserts that both parsers agree, also on incomplete documents.
fn alike(text: &str) -> Result<(), TestCaseError> {
    let (document, whole) = read(text);
    let read = (document.as_ref().map(|document| Tree::from(document.root())), whole);
    prop_assert_eq!(read, known(text), "{}", text);
    Ok(())
}

/// Asserts that both parsers agree if ours accepts the document.
fn no_laxer(text: &str) -> Result<(), TestCaseError> {
    if read(text).1 { alike(text) } else { Ok(()) }
}

/// Content of an element: text, references, CDATA, comments and instructions.
fn inner() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9éß💧 \"'>/=\\]-]{0,12}",
        1 => "[\r\n\t a]{0,6}",
        1 => "&(lt|gt|amp|quot|apos);",
        1 => "&#(x[0-9a-fA-F]{1,5}|0{0,3}[0-9]{1,6});",
        1 => "<!\\[CDATA\\[[a-z<>&;é\r\n ]{0,8}(\\]{1,3}[a-z<]{1,3})?\\]{0,2}\\]\\]>",
        1 => "<!--[a-z<>&;é\"' ]{0,8}(-{1,3}[a-z<])?-?-->",
        1 => "<\\?[a-z]{1,3}[a-z<>&;é\"' ]{0,8}(\\?[a-z<])?\\?>",
    ]
}

fn element() -> impl Strategy<Value = String> {
    let name = "([a-z]{1,2}:)?[a-zA-Zé][a-zA-Z0-9_.-]{0,8}";
    let attributes = prop::collection::vec(
        prop_oneof![
            "[ \t\r\n]{1,2}[a-z:]{1,5} ?= ?\"[a-z<>&;:é/' ]{0,12}\"",
            "[ \t\r\n]{1,2}[a-z:]{1,5} ?= ?'[a-z<>&;:é/\" ]{0,12}'"
        ],
        0..3,
    );
    let start =
        (name, attributes, "[ \r\n\t]{0,2}").prop_map(|(name, attributes, space)| (name, attributes.concat(), space));
    let leaf = (start.clone(), prop::collection::vec(inner(), 0..4)).prop_map(wrapped);
    leaf.prop_recursive(5, 40, 6, move |inside| {
        let content = prop_oneof![2 => inside, 1 => inner()];
        (start.clone(), prop::collection::vec(content, 0..6)).prop_map(wrapped)
    })
}

fn wrapped(((name, attributes, space), inside): ((String, String, String), Vec<String>)) -> String {
    let inside = inside.concat();
    if inside.is_empty() {
        return format!("<{name}{attributes}{space}/>");
    }
    format!("<{name}{attributes}{space}>{inside}</{name}{space}>")
}

fn text() -> impl Strategy<Value = String> {
    let before = "\u{feff}?(<\\?xml version=\"1.0\" encoding='UTF-8'\\?>)?[\r\n ]?(<!-- > -->)?";
    (before, element(), "[\r\n ]?(<!-- > -->)?").prop_map(|(before, element, after)| before + &element + &after)
}

/// The text up to a character boundary near the index.
fn cut(text: &str, at: prop::sample::Index) -> &str {
    &text[..text.floor_char_boundary(at.index(text.len() + 1))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn documents_are_parsed_as_by_quick_xml(text in text()) {
        alike(&text)?;
    }

    #[test]
    fn truncated_documents_are_parsed_as_by_quick_xml(text in text(), at in any::<prop::sample::Index>()) {
        alike(cut(&text, at))?;
    }

    #[test]
    fn corrupted_documents_are_parsed_as_by_quick_xml_or_rejected(
        text in text(),
        at in any::<prop::sample::Index>(),
        by in "[<>/&;:\"'=!?\\[\\]a# \r-]{0,4}|</?a>|&a;|&#0;|&#xD800;|<!DOCTYPE a>|</?x:|\\PC",
        left_out in 0..4_usize,
    ) {
        let before = cut(&text, at);
        let after: String = text[before.len()..].chars().skip(left_out).collect();
        no_laxer(&format!("{before}{by}{after}"))?;
    }

    #[test]
    fn random_text_never_panics(
        text in "(<[a-zA-Z/?!\\[: ]{0,9}>?|</?a>|&[#a-z0-9]{0,8};?|\\]\\]>|--|[ -~\r\n]|\\PC){0,40}",
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        no_laxer(&text)?;
        no_laxer(&String::from_utf8_lossy(&bytes))?;
        let _ = document(&bytes, "a");
    }
}

#[test]
fn document_type_is_rejected() {
    for text in ["<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a/><!doctype a>"] {
        assert!(!read(text).1, "{text}");
    }
    assert_eq!(read("<!DOCTYPE html><a/>").0, None);
}
