//! Uploads: blocks, and lists of them.

use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{Operation, Output, Part, PartPage, Upload, UploadPage};
use sandbucket_plugin::listing::check_page_size;
use sandbucket_plugin::machine::{RequestBody, Response, Step};
use sandbucket_plugin::service::{AttemptError, Flow, Outgoing};
use sandbucket_plugin::xml;

use super::blob::{absent_is_unmatched, accepted, is_absent};
use super::{Azure, Reply, Stage, document, output};
use crate::continuation::{self, UploadPosition};
use crate::documents::block_list::{self, state_of};
use crate::documents::listing;
use crate::requests;
use crate::response;
use crate::upload_id::UploadId;

/// Maximum number of parts in a page.
const MAX_PAGE: u32 = 1000;

impl Azure {
    /// An upload begins without a request: its id is made here.
    pub(super) fn begin_upload(&self, step: &mut Step<'_, Self>) -> Flow<Stage> {
        let entropy = [step.random(), step.random()];
        let Operation::CreateUpload { options, .. } = step.operation() else { return Flow::own() };
        let made = self.full_key(step).and_then(|key| {
            let properties = requests::create_upload(&self.settings, &key, options)?;
            UploadId::new(entropy, &key, properties).write()
        });
        step.checked(made).map(Output::CreateUpload).into()
    }

    /// Azure has no blocks without bytes: a part without any is left out of the completion.
    pub(super) fn begin_empty_part(&self, step: &Step<'_, Self>) -> Flow<Stage> {
        let Operation::UploadPart { upload, number, .. } = step.operation() else { return Flow::own() };
        // Arguments are checked as those of other parts are.
        let made = self.upload_request(step).and_then(|_| Ok(super::part(&UploadId::read(upload)?, *number, 0)));
        step.checked(made).map(Output::UploadPart).into()
    }

    pub(super) fn upload_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let settings = &self.settings;
        match step.operation() {
            Operation::UploadPart { upload, number, length, options, .. } => {
                let (key, upload) = (self.full_key(step)?, UploadId::read(upload)?);
                let content = Content::remote(*length, &options.digests, settings.wanted_digests())?;
                let request = requests::upload_part(settings, &key, &upload, *number, &content, options)?;
                Ok(self.authorized(step, request, RequestBody::Caller(*length)))
            }
            Operation::ListParts { upload, options, .. } => {
                UploadId::read(upload)?;
                check_page_size(options.page_size, MAX_PAGE)?;
                options.continuation.as_deref().map(continuation::read_part).transpose()?;
                let request = requests::block_list(settings, &self.full_key(step)?, "uncommitted", &options.call)?;
                Ok(self.bare(step, request).with_document())
            }
            Operation::CompleteUpload { upload, parts, options, .. } => {
                let (key, upload) = (self.full_key(step)?, UploadId::read(upload)?);
                let (request, body) = requests::commit(settings, &key, &upload, parts, options)?;
                Ok(self.authorized(step, request, RequestBody::Bytes(body.into_bytes())))
            }
            Operation::AbortUpload { upload, options, .. } => {
                let (key, upload) = (self.full_key(step)?, UploadId::read(upload)?);
                let (request, body) = requests::mark_aborted(settings, &key, &upload, options)?;
                Ok(self.authorized(step, request, RequestBody::Bytes(body)))
            }
            Operation::ListUploads { options } => {
                Ok(self.bare(step, requests::list_uploads(settings, options)?).with_document())
            }
            _ => Err(step.unsupported()),
        }
    }

    /// What the response to the own request of an operation on an upload says.
    pub(super) fn uploaded(&self, step: &Step<'_, Self>, response: &Response<'_>) -> Result<Reply, AttemptError> {
        Ok(Reply::Output(match step.operation() {
            Operation::UploadPart { upload, number, length, .. } => {
                Output::UploadPart(part(response, upload, *number, *length)?)
            }
            Operation::CopyPart { upload, number, options, .. } => {
                let size = options.range.map_or(0, |range| range.end.saturating_sub(range.start));
                Output::CopyPart(part(response, upload, *number, size)?)
            }
            Operation::ListParts { upload, options, .. } => {
                let upload = read(upload)?;
                let list = document!(step, response, block_list::ROOT);
                let blocks = block_list::blocks(&list.root(), "UncommittedBlocks")?;
                if state_of(&upload, &blocks).1 {
                    return Err(AttemptError::Stop(Kind::NotFound, "the upload was aborted".into()));
                }
                // Both were validated before the request was sent.
                let after = options.continuation.as_deref().and_then(|after| continuation::read_part(after).ok());
                let size = options.page_size.unwrap_or(MAX_PAGE) as usize;
                Output::ListParts(block_list::parts(&upload, &blocks, after.unwrap_or_default(), size))
            }
            Operation::CompleteUpload { .. } => Output::CompleteUpload(accepted(&response.head)?),
            Operation::AbortUpload { .. } => {
                response::confirmed(&response.head)?;
                Output::AbortUpload
            }
            Operation::ListUploads { .. } => {
                let page = document!(step, response, listing::ROOT);
                let (keys, marker) = listing::uncommitted(&page.root(), &self.settings.key_prefix)?;
                return Ok(Reply::Keys(keys, marker));
            }
            _ => return Ok(Reply::Success),
        }))
    }

    /// Get Block List of the key of the operation.
    pub(super) fn blocks_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let key = self.full_key(step)?;
        let kind = match step.operation() {
            Operation::AbortUpload { upload, .. } => {
                UploadId::read(upload)?;
                // Arguments in order before anything is sent.
                self.upload_request(step)?;
                "uncommitted"
            }
            _ => "all",
        };
        Ok(self.bare(step, requests::block_list(&self.settings, &key, kind, &Default::default())?).with_document())
    }

    pub(super) fn blocks_of_request(&self, step: &Step<'_, Self>, key: Option<&String>) -> Result<Outgoing, Failure> {
        let Some(key) = key else { return Err(step.unsupported()) };
        // A key of the service's own, which need not follow the rules for arguments.
        let key = format!("{}{key}", self.settings.key_prefix);
        let request = requests::block_list(&self.settings, &key, "uncommitted", &Default::default())?;
        Ok(self.bare(step, request).with_document())
    }

    /// The blocks of an aborted upload cannot be deleted, and Azure drops them after a week. One more block marks them.
    pub(super) fn after_aborting(&self, step: &Step<'_, Self>, result: Result<Reply, Failure>) -> Flow<Stage> {
        let Operation::AbortUpload { upload, .. } = step.operation() else { return Flow::own() };
        match (result, UploadId::read(upload)) {
            (Ok(Reply::Blocks(_, uncommitted, _)), Ok(upload)) if state_of(&upload, &uncommitted) == (true, false) => {
                Flow::own()
            }
            (Err(failure), _) if !is_absent(&failure) => Flow::Failed(failure),
            _ => Flow::Done(Output::AbortUpload),
        }
    }

    /// Keys of a page that may have uncommitted blocks. Those before the position at which the list goes on are passed over.
    pub(super) fn after_keys(&self, step: &Step<'_, Self>, result: Result<Reply, Failure>) -> Flow<Stage> {
        let (mut keys, next) = match result {
            Ok(Reply::Keys(keys, next)) => (keys, next),
            result => return output(step, result).into(),
        };
        let UploadPosition { marker, after } = position(step);
        if next.is_some() && next == marker {
            let what = "the response cannot be trusted: it goes on where it began";
            return Flow::Failed(step.failure(Kind::Integrity, what));
        }
        let Some((last, _)) = &after else { return blocks_of(keys, 0, Vec::new(), next) };
        // Azure may order some keys otherwise, so the key itself is looked for first.
        let there = keys.iter().position(|key| key == last).or_else(|| keys.iter().position(|key| key > last));
        match there {
            Some(there) => {
                keys.drain(..there);
                blocks_of(keys, 0, Vec::new(), next)
            }
            // The position is on a later page, as pages are smaller now.
            None => {
                let next = next.map(|next| UploadPosition { marker: Some(next), after });
                let next = next.as_ref().and_then(continuation::write_upload);
                Flow::Done(Output::ListUploads(UploadPage { uploads: Vec::new(), next }))
            }
        }
    }

    pub(super) fn after_blocks_of(
        &self,
        step: &Step<'_, Self>,
        keys: Vec<String>,
        at: u32,
        mut found: Vec<(u32, String)>,
        next: Option<String>,
        result: Result<Reply, Failure>,
    ) -> Flow<Stage> {
        let Operation::ListUploads { options } = step.operation() else { return Flow::own() };
        let size = options.page_size.unwrap_or(MAX_PAGE) as usize;
        let UploadPosition { marker, after } = position(step);
        let mut more = false;
        match result {
            Ok(Reply::Blocks(_, uncommitted, _)) => {
                let after = after.filter(|(key, _)| keys.get(at as usize) == Some(key));
                let after = after.and_then(|(_, id)| UploadId::read(&id).ok());
                let ids;
                (ids, more) = block_list::uploads(&uncommitted, after.as_ref(), size.saturating_sub(found.len()));
                found.extend(ids.into_iter().map(|id| (at, id)));
            }
            // It was completed or deleted meanwhile.
            Err(failure) if !is_absent(&failure) => return Flow::Failed(failure),
            _ => {}
        }
        let is_last = at as usize + 1 >= keys.len();
        if !more && (is_last || found.len() < size) {
            return blocks_of(keys, at + 1, found, next);
        }
        // The page is full: the next one begins within this page of the service's.
        let uploads = uploads(&keys, found);
        let after = uploads.last().map(|last| (last.key.clone(), last.id.clone()));
        let next = continuation::write_upload(&UploadPosition { marker, after });
        Flow::Done(Output::ListUploads(UploadPage { uploads, next }))
    }

    pub(super) fn after_complete(&self, step: &Step<'_, Self>, result: Result<Output, Failure>) -> Flow<Stage> {
        let Operation::CompleteUpload { options, .. } = step.operation() else { return result.into() };
        match result {
            Err(failure) if step.maybe_applied() => Flow::to(Stage::Committed { failure }),
            result => result.map_err(|failure| absent_is_unmatched(failure, &options.condition)).into(),
        }
    }
}

/// Goes on with the next key of a page of uploads.
fn blocks_of(keys: Vec<String>, at: u32, found: Vec<(u32, String)>, next: Option<String>) -> Flow<Stage> {
    if (at as usize) < keys.len() {
        return Flow::to(Stage::BlocksOf { keys, at, found, next });
    }
    let next = next.as_deref().map(continuation::write);
    Flow::Done(Output::ListUploads(UploadPage { uploads: uploads(&keys, found), next }))
}

/// The uploads that were found, by the index of their key.
fn uploads(keys: &[String], found: Vec<(u32, String)>) -> Vec<Upload> {
    let mut uploads = Vec::with_capacity(found.len());
    for (at, id) in found {
        if let Some(key) = keys.get(at as usize) {
            uploads.push(Upload { key: key.clone(), id, initiated: None });
        }
    }
    uploads
}

/// Where the list of uploads goes on. The continuation was validated before the request was sent.
fn position(step: &Step<'_, Azure>) -> UploadPosition {
    let Operation::ListUploads { options } = step.operation() else { return UploadPosition::default() };
    let position = options.continuation.as_deref().and_then(|text| continuation::read_upload(text).ok());
    position.unwrap_or_default()
}

/// The part that the service accepted.
pub(super) fn part(response: &Response<'_>, upload: &str, number: u32, size: u64) -> Result<Part, AttemptError> {
    response::confirmed(&response.head)?;
    Ok(super::part(&read(upload)?, number, size))
}

/// The blocks in a response, and the blob that the committed ones are of.
pub(super) fn blocks(step: &Step<'_, Azure>, response: &Response<'_>) -> Result<Reply, AttemptError> {
    let list = document!(step, response, block_list::ROOT);
    let committed = block_list::blocks(&list.root(), "CommittedBlocks")?;
    let uncommitted = block_list::blocks(&list.root(), "UncommittedBlocks")?;
    Ok(Reply::Blocks(committed, uncommitted, response::written(&response.head)?))
}

/// An upload without blocks looks like one that does not exist: both have no parts.
pub(super) fn after_list_parts(result: Result<Output, Failure>) -> Result<Output, Failure> {
    match result {
        Err(failure) if is_absent(&failure) => Ok(Output::ListParts(PartPage::default())),
        result => result,
    }
}

/// An id that was validated when the request was made.
fn read(upload: &str) -> Result<UploadId, AttemptError> {
    UploadId::read(upload).map_err(|fault| AttemptError::Stop(fault.kind, fault.message))
}
