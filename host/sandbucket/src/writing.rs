//! Bodies on their way to the service: past the plugin, or by way of it where it has no requests to give.

use crate::bindings::exchanges::{Asked, AskedPart, Operation, PartOperation, WriteOperation};
use crate::bindings::wit::DigestAlgorithm;
use crate::bindings::{Output, multipart, wit};
use crate::blob::Written;
use crate::body::{Chunks, Pieces};
use crate::calls::Calls;
use crate::digest;
use crate::error::{Error, Result};
use crate::exchanging::Payload;
use crate::multipart::Part;
use crate::transport::{Fault, Progress, Streamed};

impl Calls {
    /// Writes a blob whose bytes are here.
    pub(crate) async fn put(
        &self,
        key: &str,
        body: &Chunks,
        options: &mut wit::WriteOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        if !self.pool().prepares_requests() {
            return self.put_inline(key, &body.joined(), options, progress).await;
        }
        let digests = self.digests(body, self.wanted_digests()).await;
        let given = &*options;
        let write = || self.write(key, body.length(), digests.clone(), given, Payload::Here(body), progress.clone());
        self.with_new_credentials(write).await
    }

    /// Writes a blob from a stream of this length, whose bytes come once: the store must want no digests of them.
    pub(crate) async fn put_stream(
        &self,
        key: &str,
        (length, pieces): (u64, Pieces),
        options: &mut wit::WriteOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let fault = Fault::default();
        let payload = Payload::Once(Some(Streamed::new(length, pieces, fault.clone())), fault);
        self.write(key, length, Vec::new(), options, payload, progress).await
    }

    async fn write(
        &self,
        key: &str,
        length: u64,
        digests: Vec<wit::Digest>,
        options: &wit::WriteOptions,
        payload: Payload<'_>,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let plain = options.content_type.is_none()
            && options.metadata.is_empty()
            && matches!(options.condition, wit::WriteCondition::Always)
            && options.call.attributes.is_empty();
        let limit = options.call.time_limit;
        let options = if plain { None } else { Some(options.clone()) };
        let operation = Operation::Write(WriteOperation { key: key.to_owned(), length, digests, options });
        match self.exchange("put", (operation, Asked::Write), limit, payload, progress).await? {
            (Output::Written(written), _) => Ok(written),
            _ => Err(Error::plugin("the plugin took a write for something else")),
        }
    }

    /// Uploads a part whose bytes are here.
    pub(crate) async fn upload_part(
        &self,
        key: &str,
        (upload, number): (&str, u32),
        body: &Chunks,
        options: &mut multipart::PartOptions,
        progress: Option<Progress>,
    ) -> Result<Part> {
        if !self.pool().prepares_requests() {
            return self.part_inline(key, upload, number, &body.joined(), options, progress).await;
        }
        let digests = self.digests(body, self.wanted_digests()).await;
        let (length, limit) = (body.length(), options.call.time_limit);
        let asked = Asked::Part(AskedPart { number, size: length });
        let exchange = || {
            let given = if options.call.attributes.is_empty() { None } else { Some(options.clone()) };
            let (key, upload, digests) = (key.to_owned(), upload.to_owned(), digests.clone());
            let operation = Operation::Part(PartOperation { key, upload, number, length, digests, options: given });
            self.exchange("upload a part", (operation, asked), limit, Payload::Here(body), progress.clone())
        };
        match self.with_new_credentials(exchange).await? {
            (Output::Part(part), _) => Ok(part),
            _ => Err(Error::plugin("the plugin took a part for something else")),
        }
    }

    async fn digests(&self, body: &Chunks, algorithms: &[DigestAlgorithm]) -> Vec<wit::Digest> {
        let pool = self.pool();
        digest::of(body, algorithms, pool.engine().sums(), pool.calls_under_way() == 0).await
    }
}
