//! Answers that are documents: read whole, within bounds.

use crate::content::Content;
use crate::env::{Body, Clock, Transport};
use crate::error::{Failure, Kind};
use crate::request::{Method, Request};
use crate::response::{Garbled, Head};
use crate::settings::Settings;
use crate::xml::{self, Document, Element};

use super::call::{Call, Trouble};

/// The longest document that is read, in bytes. A page of a thousand keys, each as long and as oddly written as can be,
/// is a quarter of it.
const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// The most that is asked of a body at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// What is done with a document, the head that it came with, and the store's settings.
type Read<'a> = dyn FnMut(&Element<'_>, &Head, &Settings) -> Result<(), Garbled> + 'a;

impl<E: Transport + Clock> Call<'_, E> {
    /// Sends the request until it is answered with a document of this outermost element that can be read.
    pub(super) fn ask(
        &mut self,
        request: &mut Request,
        body: &str,
        root: &str,
        read: &mut Read<'_>,
    ) -> Result<(), Failure> {
        self.ask_or_nothing(request, body, root, None, read)
    }

    /// The same, of a service that may answer with success and no document: then `nothing` is read instead.
    pub(super) fn ask_or_nothing(
        &mut self,
        request: &mut Request,
        body: &str,
        root: &str,
        nothing: Option<&str>,
        read: &mut Read<'_>,
    ) -> Result<(), Failure> {
        let method = request.method;
        let content = self.checked(Content::here(body.as_bytes(), &[]))?;
        let payload = self.payload(&content);
        self.run(request, body.as_bytes(), &payload, &mut |call, head, answer| {
            let mut text = call.whole(&head, answer)?;
            if let Some(nothing) = nothing.filter(|_| text.trim_ascii().is_empty()) {
                text = nothing.into();
            }
            let document = call.document(method, &head, &text, root)?;
            read(&document.root(), &head, &call.store.settings).map_err(|garbled| call.garbled(garbled))
        })
    }

    /// Reads an answer that is to be a document of this outermost element. That it is an error in spite of its status is
    /// what S3 does where it had to begin its answer before it knew.
    fn document<'t>(
        &mut self,
        method: Method,
        head: &Head,
        text: &'t [u8],
        root: &str,
    ) -> Result<Document<'t>, Trouble> {
        match xml::document(text, root) {
            Err(_) if xml::document(text, "Error").is_ok() => Err(self.refused(method, head, text)),
            read => read.map_err(|garbled| self.garbled(garbled)),
        }
    }

    fn whole(&mut self, head: &Head, mut body: E::Body) -> Result<Vec<u8>, Trouble> {
        let announced = head.content_length().map_err(|garbled| self.garbled(garbled))?;
        let mut text = Vec::new();
        while text.len() <= MAX_DOCUMENT {
            match body.read(CHUNK) {
                Ok(Some(more)) => text.extend_from_slice(&more),
                Ok(None) => break,
                Err(error) => return Err(self.transport_trouble(error)),
            }
        }
        if text.len() > MAX_DOCUMENT {
            return Err(self.stop(Kind::TooLarge, &format!("its document is larger than {MAX_DOCUMENT} bytes")));
        }
        match announced {
            Some(length) if length != text.len() as u64 => {
                let what = format!("its document has {} bytes where {length} were announced", text.len());
                Err(self.garbled(Garbled(what)))
            }
            _ => Ok(text),
        }
    }
}
