//! Lists of blocks.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/get-block-list>

use std::collections::BTreeMap;

use sandbucket_plugin::contract::model::{Part, PartPage};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{MalformedResponse, decimal};
use sandbucket_plugin::xml::Element;
use serde::{Deserialize, Serialize};

use crate::continuation;
use crate::upload_id::{ABORTED, UploadId};

/// Root of the document.
pub const ROOT: &str = "BlockList";

/// Maximum number of blocks in a list: that of a blob's uncommitted blocks.
const MAX_BLOCKS: usize = 100_000;

/// Maximum length of a block's id: 64 bytes in base64.
const MAX_ID: usize = 88;

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Id, in base64.
    pub id: String,
    /// Length in bytes.
    pub size: u64,
}

/// Parses the blocks of this kind: `CommittedBlocks` or `UncommittedBlocks`.
pub fn blocks(list: &Element<'_>, kind: &str) -> Result<Vec<Block>, MalformedResponse> {
    let mut blocks = Vec::new();
    for block in list.child(kind).iter().flat_map(|blocks| blocks.children_named("Block")) {
        bounds::count("Block", blocks.len() + 1, MAX_BLOCKS)?;
        let id = bounds::text("Name", block.text("Name").ok_or_else(|| MalformedResponse::missing("Name"))?, MAX_ID)?
            .to_owned();
        let size = block.text("Size").and_then(decimal).ok_or_else(|| MalformedResponse::missing("Size"))?;
        blocks.push(Block { id, size });
    }
    Ok(blocks)
}

/// Whether the upload has blocks in this list, and whether it is marked as aborted.
pub fn state_of(upload: &UploadId, blocks: &[Block]) -> (bool, bool) {
    let (mut exists, mut aborted) = (false, false);
    for number in blocks.iter().filter_map(|block| number_in(upload, block)) {
        exists = true;
        aborted |= number == ABORTED;
    }
    (exists, aborted)
}

/// A page of the parts of an upload, after part number `after`.
pub fn parts(upload: &UploadId, blocks: &[Block], after: u32, page_size: usize) -> PartPage {
    let mut parts = Vec::new();
    for block in blocks {
        if let Some(number) = number_in(upload, block).filter(|number| *number != ABORTED && *number > after) {
            parts.push(Part {
                number,
                size: block.size,
                etag: upload.part_etag(number, block.size),
                ..Part::default()
            });
        }
    }
    parts.sort_unstable_by_key(|part| part.number);
    let more = parts.len() > page_size;
    parts.truncate(page_size);
    let next = parts.last().filter(|_| more).map(|part| continuation::write_part(part.number));
    PartPage { parts, next }
}

/// The ids of the uploads to a key that have blocks in this list and are not aborted, after the upload `after`: up to `limit`, and
/// whether there are more.
pub fn uploads(blocks: &[Block], after: Option<&UploadId>, limit: usize) -> (Vec<String>, bool) {
    let mut found = BTreeMap::new();
    for (upload, number) in blocks.iter().filter_map(|block| UploadId::of_block(&block.id)) {
        let (_, aborted) = found.entry(upload.identity()).or_insert((upload, false));
        *aborted |= number == ABORTED;
    }
    let after = after.map(UploadId::identity);
    let listed = found.into_iter().filter(|(identity, (_, aborted))| !aborted && Some(*identity) > after);
    // Without properties the id is short.
    let mut ids = listed.filter_map(|(_, (upload, _))| upload.write().ok());
    let page = ids.by_ref().take(limit).collect();
    (page, ids.next().is_some())
}

fn number_in(upload: &UploadId, block: &Block) -> Option<u32> {
    let (of, number) = UploadId::of_block(&block.id)?;
    of.is(upload).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload_id::Properties;
    use sandbucket_plugin::xml;
    use std::collections::BTreeSet;

    fn upload(n: u64) -> UploadId {
        UploadId::new([n, 0], "k", Properties::default())
    }

    fn block(upload: &UploadId, number: u32, size: u64) -> Block {
        Block { id: upload.block(number), size }
    }

    #[test]
    fn blocks_are_parsed() {
        let text = "<BlockList><CommittedBlocks/><UncommittedBlocks><Block><Name>QUFB</Name><Size>5</Size></Block>\
                    </UncommittedBlocks></BlockList>";
        let document = xml::document(text.as_bytes(), ROOT).unwrap();
        let wanted = [Block { id: "QUFB".into(), size: 5 }];
        assert_eq!(blocks(&document.root(), "UncommittedBlocks").unwrap(), wanted);
        assert_eq!(blocks(&document.root(), "CommittedBlocks").unwrap(), []);
        for inside in [
            "<Block><Size>1</Size></Block>",
            "<Block><Name>A</Name></Block>",
            "<Block><Name>A</Name><Size>x</Size></Block>",
        ] {
            let text = format!("<BlockList><CommittedBlocks>{inside}</CommittedBlocks></BlockList>");
            assert!(blocks(&xml::document(text.as_bytes(), ROOT).unwrap().root(), "CommittedBlocks").is_err());
        }
    }

    #[test]
    fn parts_of_an_upload_are_paged_by_number() {
        let (mine, other) = (upload(1), upload(2));
        let blocks = [
            block(&mine, 9, 3),
            block(&other, 1, 1),
            block(&mine, 2, 7),
            Block { id: "AAAA".into(), size: 1 },
            block(&mine, 5, 1),
        ];
        let first = parts(&mine, &blocks, 0, 2);
        let numbers: Vec<_> = first.parts.iter().map(|part| (part.number, part.size)).collect();
        assert_eq!((numbers, first.next.as_deref()), (vec![(2, 7), (5, 1)], Some("p5")));
        assert_eq!(first.parts[0].etag, mine.part_etag(2, 7));
        let last = parts(&mine, &blocks, 5, 2);
        assert_eq!((last.parts.len(), last.parts[0].number, last.next), (1, 9, None));
        assert_eq!(state_of(&mine, &blocks), (true, false));
        assert_eq!(state_of(&upload(3), &blocks), (false, false));
    }

    #[test]
    fn aborted_upload_is_not_listed() {
        let (one, two) = (upload(1), upload(2));
        let blocks = [block(&one, 1, 3), block(&two, 1, 1), block(&two, ABORTED, 1), block(&one, 2, 3)];
        assert_eq!(uploads(&blocks, None, 10), (vec![one.write().unwrap()], false));
        assert_eq!(state_of(&two, &blocks), (true, true));
    }

    #[test]
    fn uploads_to_a_key_are_paged_in_the_order_of_their_ids() {
        let all: Vec<UploadId> = (0..1001).map(upload).collect();
        let mut blocks: Vec<Block> = [1, 2].iter().flat_map(|n| all.iter().map(|id| block(id, *n, 1))).collect();
        let (first, more) = uploads(&blocks, None, 1000);
        assert_eq!((first.len(), more), (1000, true));
        let last = UploadId::read(&first[999]).unwrap();
        let (rest, more) = uploads(&blocks, Some(&last), 1000);
        assert_eq!((rest.len(), more), (1, false));
        let listed: BTreeSet<_> = first.iter().chain(&rest).cloned().collect();
        assert_eq!(listed, all.iter().map(|id| id.write().unwrap()).collect());
        assert_eq!(uploads(&blocks, None, 1001).0.len(), 1001);
        // What the page before ended with may be gone by now.
        blocks.push(block(&last, ABORTED, 1));
        assert_eq!(uploads(&blocks, Some(&last), 1000), (rest, false));
    }
}
