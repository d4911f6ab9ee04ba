//! XML as S3 speaks it: small documents of elements with text, no attributes that matter.
//!
//! What comes is read into a tree within bounds, as far as it is XML at all; what goes is written piece by piece.

mod reader;

use std::borrow::Cow;

use crate::s3::response::MalformedResponse;

use reader::{Event, Escapes, Reader, push_resolved};

/// How deep elements may be nested; S3's are five deep at most.
const MAX_DEPTH: usize = 16;

/// How many elements a document may have: a thousand of ten or so are the most that S3 sends.
const MAX_ELEMENTS: usize = 100_000;

/// A document: its elements, in the order in which they begin. There is one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<'a>(Vec<Node<'a>>);

/// What is kept of an element. That they are all in one row, and borrow what they can, is what makes reading thousands of
/// them cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node<'a> {
    name: &'a str,
    text: Cow<'a, str>,
    /// How many of the row it is, with all that is in it.
    size: usize,
}

impl Document<'_> {
    /// The outermost element.
    pub fn root(&self) -> Element<'_> {
        Element(&self.0)
    }
}

/// An element: its node, and then the ones that are in it.
#[derive(Clone, Copy, Debug)]
pub struct Element<'d>(&'d [Node<'d>]);

impl<'d> Element<'d> {
    /// Its name, without a namespace.
    pub fn name(&self) -> &'d str {
        self.0.first().map_or("", |node| node.name)
    }

    /// Its own text, references resolved.
    pub fn content(&self) -> &'d str {
        self.0.first().map_or("", |node| &node.text)
    }

    /// The elements in it.
    pub fn children(&self) -> Children<'d> {
        Children(self.0.get(1..).unwrap_or_default())
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<Element<'d>> {
        self.children().find(|child| child.name() == name)
    }

    /// The children of this name.
    pub fn children_named(&self, name: &str) -> impl Iterator<Item = Element<'d>> {
        self.children().filter(move |child| child.name() == name)
    }

    /// The text of the first child of this name, as it is.
    pub fn raw_text(&self, name: &str) -> Option<&'d str> {
        self.child(name).map(|child| child.content())
    }

    /// The text of the first child of this name, without outer white space; none where it is empty.
    pub fn text(&self, name: &str) -> Option<&'d str> {
        self.raw_text(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether the first child of this name says `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// The elements in another.
pub struct Children<'d>(&'d [Node<'d>]);

impl<'d> Iterator for Children<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        let (element, rest) = self.0.split_at_checked(self.0.first()?.size)?;
        self.0 = rest;
        Some(Element(element))
    }
}

/// Reads a document as far as it goes, and whether all of it was there.
pub fn read(text: &str) -> (Option<Document<'_>>, bool) {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    // A listing has an element for every 40 bytes: room for them at once spares moving them again and again.
    let mut nodes = Vec::with_capacity((text.len() / 32).min(MAX_ELEMENTS));
    let mut open = Vec::new();
    let whole = text.starts_with('<') && fill(&mut nodes, &mut open, text).is_some();
    // What was read of a document that breaks off, but for the text in whose middle it does.
    if open.last().is_some_and(|last| last + 1 == nodes.len()) {
        open.pop();
        nodes.pop();
    }
    let all = nodes.len();
    for at in open {
        nodes[at].size = all - at;
    }
    (if nodes.is_empty() { None } else { Some(Document(nodes)) }, whole)
}

/// Adds the text's elements until it ends, or none where it breaks off. What is then still open is in `open`, by its place.
fn fill<'a>(nodes: &mut Vec<Node<'a>>, open: &mut Vec<usize>, text: &'a str) -> Option<()> {
    let mut reader = Reader::new(text);
    // Text around the outermost element is not kept.
    let mut outside = Cow::Borrowed("");
    loop {
        match reader.next()? {
            Event::Start(name, empty) => {
                let second = open.is_empty() && !nodes.is_empty();
                if second || nodes.len() == MAX_ELEMENTS || !empty && open.len() == MAX_DEPTH {
                    return None;
                }
                if !empty {
                    open.push(nodes.len());
                }
                nodes.push(Node { name, text: Cow::Borrowed(""), size: 1 });
            }
            Event::End(name) => {
                let (at, all) = (*open.last()?, nodes.len());
                let node = nodes.get_mut(at).filter(|node| node.name == name)?;
                node.size = all - at;
                open.pop();
            }
            Event::Text(piece, escapes) => {
                let text = match open.last().and_then(|&at| nodes.get_mut(at)) {
                    Some(node) => &mut node.text,
                    None => &mut outside,
                };
                if text.is_empty() && escapes == Escapes::None {
                    *text = Cow::Borrowed(piece);
                } else {
                    let text = text.to_mut();
                    text.reserve(piece.len());
                    push_resolved(text, piece, escapes)?;
                }
            }
            Event::Eof => return open.is_empty().then_some(()),
        }
    }
}

/// Reads a whole document of this outermost element.
///
/// # Errors
/// That it is none, or breaks off.
pub fn document<'a>(body: &'a [u8], name: &str) -> Result<Document<'a>, MalformedResponse> {
    let text = std::str::from_utf8(body).map_err(|_| MalformedResponse("its body is no UTF-8".into()))?;
    let (Some(document), true) = read(text) else {
        return Err(MalformedResponse(format!("its body of {} bytes is no whole XML document", body.len())));
    };
    let root = document.root().name();
    if root != name && !is_response(root, name) && !is_listing(&document.root(), name) {
        return Err(MalformedResponse(format!(
            "its body is <{}>, not <{name}>",
            crate::contract::error::tidy(root, 64)
        )));
    }
    Ok(document)
}

/// Whether this is another name for it that some services write: `ListPartsResponse` for `ListPartsResult`.
fn is_response(name: &str, result: &str) -> bool {
    name.strip_suffix("Response").is_some_and(|stem| result.strip_suffix("Result") == Some(stem))
}

/// What listings are called, and one element at least that each has.
const LISTINGS: [(&str, [&str; 4]); 4] = [
    ("ListBucketResult", ["Contents", "CommonPrefixes", "IsTruncated", "KeyCount"]),
    ("ListVersionsResult", ["Version", "DeleteMarker", "CommonPrefixes", "IsTruncated"]),
    ("ListPartsResult", ["Part", "PartNumberMarker", "NextPartNumberMarker", "IsTruncated"]),
    ("ListMultipartUploadsResult", ["Upload", "UploadIdMarker", "CommonPrefixes", "IsTruncated"]),
];

/// Results that are no listing of this kind, whatever is in them.
const OTHERS: [&str; 3] = ["ListAllMyBucketsResult", "DeleteResult", "Error"];

/// Whether it is this listing by what is in it, under a name of the service's own.
fn is_listing(root: &Element<'_>, name: &str) -> bool {
    let known = LISTINGS.iter().any(|(other, _)| *other == root.name()) || OTHERS.contains(&root.name());
    !known
        && LISTINGS
            .iter()
            .find(|(listing, _)| *listing == name)
            .is_some_and(|(_, elements)| root.children().any(|child| elements.contains(&child.name())))
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
mod oracle;
#[cfg(test)]
mod tests;
