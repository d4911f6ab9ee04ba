//! Pull parser: the events of a document in order.
//!
//! Supports what S3 sends and more, but no document type and so no entities except the five predefined ones. Anything else is
//! rejected, never misinterpreted.

/// An event.
pub(super) enum Event<'a> {
    /// Start tag, and whether the element is empty (`<a/>`).
    Start(&'a str, bool),
    /// End tag.
    End(&'a str),
    /// Text, and what to resolve in it.
    Text(&'a str, Escapes),
    /// End of the document.
    Eof,
}

/// What to resolve in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    None,
    /// Line ends, as in CDATA.
    Lines,
    /// Line ends and references.
    References,
}

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Reader { text, at: 0 }
    }

    /// The next event, skipping comments and processing instructions. None if the document is invalid or truncated.
    pub(super) fn next(&mut self) -> Option<Event<'a>> {
        loop {
            let bytes = self.text.as_bytes();
            let Some(&first) = bytes.get(self.at) else { return Some(Event::Eof) };
            if first != b'<' {
                return self.characters();
            }
            match bytes.get(self.at + 1)? {
                b'/' => return self.end(),
                b'?' => {
                    // One question mark cannot be both delimiters.
                    if self.up_to(self.at + 1, "?>")?.is_empty() {
                        return None;
                    }
                }
                b'!' if self.is_at("<!--") => drop(self.up_to(self.at + 4, "-->")?),
                b'!' if self.is_at("<![CDATA[") => {
                    return Some(Event::Text(self.up_to(self.at + 9, "]]>")?, Escapes::Lines));
                }
                // Document types could define entities, and S3 sends none.
                b'!' => return None,
                _ => return self.start(),
            }
        }
    }

    fn is_at(&self, what: &str) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    /// Returns the text from there to a delimiter, and advances behind the delimiter.
    fn up_to(&mut self, from: usize, end: &str) -> Option<&'a str> {
        let rest = self.text.get(from..)?;
        let length = rest.find(end)?;
        self.at = from + length + end.len();
        rest.get(..length)
    }

    /// Parses text up to the next tag.
    fn characters(&mut self) -> Option<Event<'a>> {
        let rest = self.text.get(self.at..)?;
        let mut escapes = Escapes::None;
        let mut length = 0;
        for byte in rest.bytes() {
            match byte {
                b'<' => break,
                b'&' | b'\r' => escapes = Escapes::References,
                _ => {}
            }
            length += 1;
        }
        self.at += length;
        Some(Event::Text(rest.get(..length)?, escapes))
    }

    fn start(&mut self) -> Option<Event<'a>> {
        let name = self.name(1)?;
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            self.at += 1;
            match byte {
                b'>' => return Some(Event::Start(name, false)),
                b'/' if bytes.get(self.at) == Some(&b'>') => {
                    self.at += 1;
                    return Some(Event::Start(name, true));
                }
                b'/' | b'<' => return None,
                // The value of an attribute may contain the end of a tag.
                b'"' | b'\'' => {
                    while *bytes.get(self.at)? != byte {
                        self.at += 1;
                    }
                    self.at += 1;
                }
                _ => {}
            }
        }
    }

    fn end(&mut self) -> Option<Event<'a>> {
        let name = self.name(2)?;
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            match byte {
                b'>' => return Some(Event::End(name)),
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => return None,
            }
        }
    }

    /// Parses the name after so many bytes, without namespace prefix.
    fn name(&mut self, skipped: usize) -> Option<&'a str> {
        let start = self.at + skipped;
        let (mut local, mut at) = (start, start);
        loop {
            match *self.text.as_bytes().get(at)? {
                b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>' => break,
                b'<' | b'&' | b'=' | b'"' | b'\'' => return None,
                b':' if local == start => local = at + 1,
                _ => {}
            }
            at += 1;
        }
        self.at = at;
        self.text.get(local..at).filter(|name| !name.is_empty())
    }
}

/// Appends the text with references resolved and line ends normalized (XML 1.0, section 2.11). None at an unknown reference, after
/// appending the text before it.
pub(super) fn push_resolved(out: &mut String, text: &str, escapes: Escapes) -> Option<()> {
    let mut rest = text;
    let is_mark = |byte| byte == b'\r' || byte == b'&' && escapes == Escapes::References;
    while let Some(at) = rest.bytes().position(is_mark) {
        let (before, after) = rest.split_at_checked(at)?;
        out.push_str(before);
        if let Some(after) = after.strip_prefix('\r') {
            out.push('\n');
            rest = after.strip_prefix('\n').unwrap_or(after);
        } else {
            let end = after.bytes().position(|byte| byte == b';')?;
            out.push(resolve(after.get(1..end)?)?);
            rest = after.get(end + 1..)?;
        }
    }
    out.push_str(rest);
    Some(())
}

/// Resolves a reference. Characters invalid in XML 1.0 are accepted: services send them in keys.
fn resolve(name: &str) -> Option<char> {
    let number = match name {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => name.strip_prefix('#')?,
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let mut code: u32 = 0;
    for digit in digits.chars() {
        code = code.checked_mul(radix)?.checked_add(digit.to_digit(radix)?)?;
    }
    // Reject zero and missing digits.
    char::from_u32(code).filter(|c| *c != '\0')
}
