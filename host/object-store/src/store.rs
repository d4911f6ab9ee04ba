//! The implementation of `ObjectStore`.

use std::ops::Range;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::{DELIMITER, Path};
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, RenameTargetMode, Result, coalesce_ranges,
};
use sandbucket::{Chunks, Store};
use tokio::sync::OnceCell;

use super::SandbucketStore;
use super::convert::{
    Properties, absent_is_unmatched, already_exists, attributes, error, generic, listed, meta, put_result, range,
    with_properties,
};
use super::multipart::Parts;

/// Blobs per bulk delete.
const BATCH: usize = 1000;
/// Minimum size of a payload that is uploaded in parts.
const MULTIPART_FROM: usize = 64 << 20;
/// Concurrent bulk deletes.
const MAX_CONCURRENCY: usize = 8;

#[async_trait]
impl ObjectStore for SandbucketStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let properties = Properties::of(&options.attributes, &options.tags)?;
        let key = location.as_ref();
        let ours = |failed| error(key, failed);
        let large = payload.content_length() > MULTIPART_FROM.min(self.store.limits().max_put);
        let (create, etag) = match options.mode {
            PutMode::Overwrite => (false, None),
            PutMode::Create => (true, None),
            PutMode::Update(version) => {
                let etag = version.e_tag.ok_or_else(|| generic("an update needs the e_tag of what it replaces"))?;
                (false, Some(etag))
            }
        };
        let written = if large {
            let mut upload = with_properties!(self.store.upload(key), properties);
            upload = if create { upload.if_absent() } else { upload };
            upload = if let Some(etag) = &etag { upload.if_match(etag) } else { upload };
            upload.stream(futures::stream::iter(payload).map(Ok::<_, std::io::Error>)).await.map_err(ours)
        } else {
            let mut put = with_properties!(self.store.put(key, payload.into_iter().collect::<Chunks>()), properties);
            put = if create { put.if_absent() } else { put };
            put = if let Some(etag) = &etag { put.if_match(etag) } else { put };
            put.await.map_err(ours)
        };
        match written {
            Err(failed) if create => Err(already_exists(failed, location)),
            Err(failed) if etag.is_some() => Err(absent_is_unmatched(failed)),
            written => written.map(put_result),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let properties = Properties::of(&options.attributes, &options.tags)?;
        let upload = with_properties!(self.store.create_upload(location.as_ref()), properties);
        let id = upload.await.map_err(|failed| error(location.as_ref(), failed))?;
        Ok(Box::new(Parts::new(self.store.clone(), location.clone(), id)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let key = location.as_ref().to_owned();
        /// Applies `GetOptions` to a request builder.
        macro_rules! with_get_options {
            ($call:expr) => {{
                let mut call = $call;
                if let Some(etag) = &options.if_match {
                    call = call.if_match(etag);
                }
                if let Some(etag) = &options.if_none_match {
                    call = call.if_none_match(etag);
                }
                if let Some(time) = options.if_modified_since {
                    call = call.if_modified_since(time.into());
                }
                if let Some(time) = options.if_unmodified_since {
                    call = call.if_unmodified_since(time.into());
                }
                if let Some(version) = &options.version {
                    call = call.version(version);
                }
                call.await.map_err(|failed| error(&key, failed))?
            }};
        }
        if options.head {
            let info = with_get_options!(self.store.head(&key));
            return Ok(GetResult {
                payload: GetResultPayload::Stream(futures::stream::empty().boxed()),
                range: 0..info.size,
                attributes: attributes(&info),
                meta: meta(location.clone(), &info),
                extensions: Default::default(),
            });
        }
        let mut get = self.store.get(&key);
        if let Some(with_get_options) = options.range.clone() {
            get = get.range(range(with_get_options));
        }
        let blob = with_get_options!(get);
        Ok(GetResult {
            range: blob.range(),
            attributes: attributes(blob.info()),
            meta: meta(location.clone(), blob.info()),
            payload: GetResultPayload::Stream(blob.map_err(move |failed| error(&key, failed)).boxed()),
            extensions: Default::default(),
        })
    }

    /// A service that ignores ranges returns the whole blob once, and all ranges are cut from it.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let key = location.as_ref();
        let whole = OnceCell::new();
        let whole = &whole;
        let fetch = |range: Range<u64>| async move {
            let blob = self.store.get(key).range(range.clone()).await.map_err(|failed| error(key, failed))?;
            // Merged ranges are sliced without a length check, so they must not be shorter than requested.
            let end = blob.range().end;
            if ranges.iter().any(|one| range.contains(&one.start) && one.start > end) {
                let size = blob.info().size;
                let what = format!(
                    "{key} has {size} bytes, and bytes {} to {} were with_get_options for",
                    range.start, range.end
                );
                return Err(generic(what));
            }
            if blob.ignores_range() && ranges.len() > 1 {
                drop(blob);
                let slices = whole.get_or_try_init(|| slices_of_whole(&self.store, key, ranges)).await?;
                return Ok(slices.get(range));
            }
            blob.bytes().await.map_err(|failed| error(key, failed))
        };
        coalesce_ranges(ranges, fetch, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.store.clone();
        let deleted = locations.try_chunks(BATCH).map(move |batch| {
            let store = store.clone();
            async move {
                let batch = batch.map_err(|failed| failed.1)?;
                let outcomes = store.delete_many(batch.iter().map(|path| path.as_ref())).await.map_err(generic)?;
                let results = batch.into_iter().zip(outcomes).map(|(path, outcome)| match outcome {
                    Ok(()) => Ok(path),
                    Err(failed) => Err(error(path.as_ref(), failed)),
                });
                Ok::<_, object_store::Error>(futures::stream::iter(results.collect::<Vec<_>>()))
            }
        });
        deleted.buffered(MAX_CONCURRENCY).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = folder(prefix);
        let entries = self.store.list(&prefix).entries();
        entries.map(move |entry| entry.map_err(|failed| error(&prefix, failed)).and_then(listed)).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = folder(prefix);
        let entries = self.store.list(&prefix).start_after(offset.as_ref()).entries();
        entries.map(move |entry| entry.map_err(|failed| error(&prefix, failed)).and_then(listed)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = folder(prefix);
        let mut pages = self.store.list(&prefix).delimiter(DELIMITER).pages();
        let mut result = ListResult { common_prefixes: vec![], objects: vec![], extensions: Default::default() };
        while let Some(page) = pages.next().await {
            let page = page.map_err(|failed| error(&prefix, failed))?;
            for folder in page.prefixes {
                result.common_prefixes.push(Path::parse(folder)?);
            }
            for entry in page.entries {
                result.objects.push(listed(entry)?);
            }
        }
        Ok(result)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = self.store.copy(from.as_ref(), to.as_ref());
        let create = options.mode == CopyMode::Create;
        let copied = if create { copy.if_absent() } else { copy }.await;
        match copied.map_err(|failed| error(from.as_ref(), failed)) {
            Err(failed) if create => Err(already_exists(failed, to)),
            copied => copied.map(drop),
        }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let rename = self.store.rename(from.as_ref(), to.as_ref());
        let create = options.target_mode == RenameTargetMode::Create;
        let renamed = if create { rename.if_absent() } else { rename }.await;
        match renamed.map_err(|failed| error(from.as_ref(), failed)) {
            Err(failed) if create => Err(already_exists(failed, to)),
            renamed => renamed.map(drop),
        }
    }
}

/// Slices of a blob, each with its offset.
struct Slices(Vec<(u64, Bytes)>);

impl Slices {
    /// The bytes of this range, as far as available. The range lies within one slice.
    fn get(&self, range: Range<u64>) -> Bytes {
        let found = self.0.iter().rfind(|(start, _)| *start <= range.start);
        found.map_or_else(Bytes::new, |(start, bytes)| cut(bytes, *start, &range))
    }
}

/// The part of `piece`, which begins at byte `start` of a blob, that lies in the range `wanted` of the blob.
fn cut(piece: &Bytes, start: u64, wanted: &Range<u64>) -> Bytes {
    let index = |position: u64| {
        usize::try_from(position.saturating_sub(start)).map_or(piece.len(), |offset| offset.min(piece.len()))
    };
    let (from, to) = (index(wanted.start), index(wanted.end));
    piece.slice(from..to.max(from))
}

/// Cuts these ranges from one response with the whole blob.
async fn slices_of_whole(store: &Store, key: &str, ranges: &[Range<u64>]) -> Result<Slices> {
    let ours = |failed| error(key, failed);
    let mut covered: Vec<Range<u64>> = Vec::new();
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    for range in sorted {
        match covered.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(OBJECT_STORE_COALESCE_DEFAULT) => {
                last.end = last.end.max(range.end);
            }
            _ => covered.push(range),
        }
    }
    let end = covered.last().map_or(0, |range| range.end);
    let mut slices: Vec<_> = covered.iter().map(|range| (range.start, BytesMut::new())).collect();
    let mut blob = store.get(key).await.map_err(ours)?;
    let mut position = 0;
    while position < end
        && let Some(piece) = blob.try_next().await.map_err(ours)?
    {
        for (range, (_, slice)) in covered.iter().zip(&mut slices) {
            slice.extend_from_slice(&cut(&piece, position, range));
        }
        position += piece.len() as u64;
    }
    Ok(Slices(slices.into_iter().map(|(start, slice)| (start, slice.freeze())).collect()))
}

/// The key prefix of this path.
fn folder(prefix: Option<&Path>) -> String {
    match prefix.map(|path| path.as_ref()) {
        None | Some("") => String::new(),
        Some(path) => format!("{path}{DELIMITER}"),
    }
}
