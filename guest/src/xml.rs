//! XML as S3 speaks it: small documents of elements with text, no attributes that matter.
//!
//! What comes is read into a tree within bounds, as far as it is XML at all; what goes is written piece by piece.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::response::Garbled;

/// How deep elements may be nested; S3's are five deep at most.
const MAX_DEPTH: usize = 16;

/// How many elements a document may have: a thousand of ten or so are the most that S3 sends.
const MAX_ELEMENTS: usize = 100_000;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without a namespace.
    pub name: String,
    /// Its own text, references resolved.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of this name.
    pub fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of this name, as it is.
    pub fn exact(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The text of the first child of this name, without outer white space; none where it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.exact(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether the first child of this name says `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// Reads a document as far as it goes: its outermost element, and whether all of it was there.
pub fn read(text: &str) -> (Option<Element>, bool) {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('<') {
        return (None, false);
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    // The elements that we are in.
    let mut open: Vec<Element> = Vec::new();
    let mut elements = 0;
    let mut root = None;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                elements += 1;
                if open.len() == MAX_DEPTH || elements > MAX_ELEMENTS || root.is_some() {
                    break;
                }
                open.push(Element { name: start.local_name().into_inner().to_owned(), ..Element::default() });
            }
            Ok(Event::Empty(start)) => {
                elements += 1;
                if elements > MAX_ELEMENTS || root.is_some() {
                    break;
                }
                let element = Element { name: start.local_name().into_inner().to_owned(), ..Element::default() };
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
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    // What was read of a document that breaks off, but for the text in whose middle it does.
    open.pop_if(|element| element.children.is_empty());
    while let Some(element) = open.pop() {
        close(&mut open, &mut root, element);
    }
    (root, false)
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn close(open: &mut [Element], root: &mut Option<Element>, element: Element) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => {
            root.get_or_insert(element);
        }
    }
}

/// Reads a whole document of this outermost element.
///
/// # Errors
/// That it is none, or breaks off.
pub fn document(body: &[u8], name: &str) -> Result<Element, Garbled> {
    let text = std::str::from_utf8(body).map_err(|_| Garbled("its body is no UTF-8".into()))?;
    match read(text) {
        (Some(root), true) if root.name == name || is_response(&root.name, name) => Ok(root),
        (Some(root), true) => {
            Err(Garbled(format!("its body is <{}>, not <{name}>", crate::error::tidy(&root.name, 64))))
        }
        _ => Err(Garbled(format!("its body of {} bytes is no whole XML document", body.len()))),
    }
}

/// Whether this is another name for it that some services write: `ListPartsResponse` for `ListPartsResult`.
fn is_response(name: &str, result: &str) -> bool {
    name.strip_suffix("Response").is_some_and(|stem| result.strip_suffix("Result") == Some(stem))
}

/// Adds an element with this text, which is one that [`can_hold`] takes.
pub fn push_element(out: &mut String, name: &str, text: &str) {
    for piece in ["<", name, ">"] {
        out.push_str(piece);
    }
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // A reader makes line feeds of them otherwise.
            '\r' => out.push_str("&#13;"),
            _ => out.push(c),
        }
    }
    for piece in ["</", name, ">"] {
        out.push_str(piece);
    }
}

/// Whether XML 1.0 has all these characters, and readers agree on them: no control characters but tab and line feed.
pub fn can_hold(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_what_is_in_it() {
        let text = "<?xml version=\"1.0\"?>\n<!-- c --><a xmlns=\"http://x/\" b='1'>t<s:b>1 &lt;&#65;&#x1F4A7;&amp;</s:b>\
                    <b><![CDATA[<raw>]]></b><c/> u</a>\n";
        let root = document(text.as_bytes(), "a").unwrap();
        assert_eq!(root.text, "t u");
        assert_eq!(root.exact("b"), Some("1 <A💧&"));
        assert_eq!(root.children("b").map(|b| b.text.as_str()).collect::<Vec<_>>(), ["1 <A💧&", "<raw>"]);
        assert_eq!((root.exact("c"), root.text("c"), root.exact("d")), (Some(""), None, None));
    }

    /// As services write keys that XML 1.0 cannot hold.
    #[test]
    fn control_characters_are_taken_as_they_come() {
        assert_eq!(document(b"<a>x&#x1;&#31;\x02</a>", "a").unwrap().text, "x\u{1}\u{1f}\u{2}");
    }

    #[test]
    fn what_breaks_off_is_told() {
        for text in
            ["", "a", "<a>", "<a><b></a>", "<a></a><b/>", "<a></b>", "<a>&what;</a>", "<a", "{\"a\": 1}", "</a>"]
        {
            let (root, whole) = read(text);
            assert!(!whole || root.is_none(), "{text}");
            assert!(document(text.as_bytes(), "a").is_err(), "{text}");
        }
        let (root, whole) = read("<Error><Code>SlowDown</Code><Message>Please re");
        assert_eq!((root.unwrap().text("Code"), whole), (Some("SlowDown"), false));
        assert!(document(b"<AResponse/>", "AResult").is_ok() && document(b"<BResponse/>", "AResult").is_err());
        assert!(document(b"<a>\xff</a>", "a").is_err());
        assert!(document(b"<b/>", "a").unwrap_err().0.contains("<b>, not <a>"));
    }

    #[test]
    fn size_is_bounded() {
        assert!(document("<a>".repeat(MAX_DEPTH + 1).as_bytes(), "a").is_err());
        let deep = "<a>".repeat(MAX_DEPTH) + &"</a>".repeat(MAX_DEPTH);
        assert!(document(deep.as_bytes(), "a").is_ok());
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        assert!(document(many.as_bytes(), "a").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "\\PC{0,60}|[<>&\"'\\r\\n\\t a\\]]{0,30}") {
            proptest::prop_assume!(can_hold(&text.replace('\r', "")));
            let mut out = String::new();
            push_element(&mut out, "Key", &text);
            proptest::prop_assert_eq!(document(out.as_bytes(), "Key").unwrap().text, text);
        }
    }
}
