//! Ids of uploads and of their blocks.
//!
//! Azure has no upload objects: blocks are uploaded to a key, and a list of them makes the blob. So the id of an upload carries what
//! its completion needs, the properties given to `create-upload`, and a nonce. Each block's id carries the nonce, so that the blocks
//! of several uploads to one key stay apart:
//!
//! | bytes | of a block's id |
//! |---|---|
//! | 3 | `sb1` |
//! | 16 | nonce |
//! | 1 | 1 if the upload has properties, else 0 |
//! | 4 | part number, big-endian; 0 marks an aborted upload |
//!
//! All are 24 bytes: the ids of a blob's blocks must be equally long. From a block's id follows the upload's, but for its properties;
//! an upload with properties that was found by its blocks can be listed and aborted, not completed.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::Pair;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Maximum length of an id in bytes, as hosts accept.
pub const MAX_UPLOAD_ID: usize = 2048;

/// The greatest part number: Azure commits at most 50,000 blocks.
pub const MAX_PART: u32 = 50_000;

/// Number in the id of the block that marks an upload as aborted.
pub const ABORTED: u32 = 0;

/// Beginning of an id with properties, and of one whose properties are not known.
const WHOLE: u8 = 1;
const FOUND: u8 = 2;

/// Beginning of the id of a block.
const MAGIC: [u8; 3] = *b"sb1";

/// End of the entity tag of a part without bytes, for which there is no block.
const EMPTY: &str = "-empty";

/// What `create-upload` was given. Completion validates it as `put` does: an id comes from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Media type.
    pub content_type: Option<String>,
    /// User metadata.
    pub metadata: Vec<Pair>,
    /// Attributes of the call.
    pub attributes: Vec<Pair>,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadId {
    nonce: [u8; 16],
    has_properties: bool,
    properties: Option<Properties>,
}

impl UploadId {
    /// A new upload. `entropy` is different for each, also for those of other instances: uploads to a key of one nonce would mix
    /// their parts. The key is part of the nonce.
    pub fn new(entropy: [u64; 2], key: &str, properties: Properties) -> UploadId {
        let mut hash = Sha256::new();
        for number in entropy {
            hash.update(number.to_be_bytes());
        }
        hash.update(key.as_bytes());
        let has_properties = properties != Properties::default();
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&hash.finalize()[..16]);
        UploadId { nonce, has_properties, properties: Some(properties) }
    }

    /// As text.
    ///
    /// # Errors
    /// A fault of `metadata` if it is longer than [`MAX_UPLOAD_ID`].
    pub fn write(&self) -> Result<String, Failure> {
        let mut bytes = vec![if self.properties.is_some() { WHOLE } else { FOUND }];
        bytes.extend_from_slice(&self.nonce);
        if let Some(properties) = self.properties.as_ref().filter(|_| self.has_properties) {
            // Serializing plain data into memory cannot fail.
            bytes = postcard::to_extend(properties, bytes).unwrap_or_default();
        }
        let text = Base64UrlUnpadded::encode_string(&bytes);
        if text.len() > MAX_UPLOAD_ID {
            let why = format!(
                "metadata and attributes of an upload are part of its id, which then has {} bytes, and {MAX_UPLOAD_ID} are \
                 allowed: shorten them",
                text.len()
            );
            return Err(Error::fault("metadata", why));
        }
        Ok(text)
    }

    /// From text.
    ///
    /// # Errors
    /// A fault of `upload`.
    pub fn read(text: &str) -> Result<UploadId, Failure> {
        let wrong = || Error::fault("upload", "this is no id of an upload of this plugin");
        let bytes = Some(text).filter(|text| text.len() <= MAX_UPLOAD_ID);
        let bytes = bytes.and_then(|text| Base64UrlUnpadded::decode_vec(text).ok()).ok_or_else(wrong)?;
        let (kind, rest) = bytes.split_first().ok_or_else(wrong)?;
        let (nonce, rest) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
        let (has_properties, properties) = match (*kind, rest) {
            (WHOLE, []) => (false, Some(Properties::default())),
            (WHOLE, rest) => match postcard::take_from_bytes::<Properties>(rest) {
                Ok((properties, [])) if properties != Properties::default() => (true, Some(properties)),
                _ => return Err(wrong()),
            },
            (FOUND, []) => (true, None),
            _ => return Err(wrong()),
        };
        Ok(UploadId { nonce: *nonce, has_properties, properties })
    }

    /// The properties of the blob to make.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if they are not known.
    pub fn properties(&self) -> Result<&Properties, Failure> {
        self.properties.as_ref().ok_or_else(|| {
            let why = "this id comes from list-uploads and lacks the properties that the upload was created with: complete it \
                       with the id of create-upload, or abort it";
            let mut fault = Error::fault("upload", why);
            fault.kind = Kind::Unsupported;
            fault
        })
    }

    /// The id of a block, in base64: 32 characters.
    pub fn block(&self, number: u32) -> String {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.nonce);
        bytes.push(self.has_properties.into());
        bytes.extend_from_slice(&number.to_be_bytes());
        Base64::encode_string(&bytes)
    }

    /// The upload and the part number of a block. None if it is no block of this plugin.
    pub fn of_block(id: &str) -> Option<(UploadId, u32)> {
        let mut bytes = [0; 24];
        let [magic @ .., _] = Base64::decode(id, &mut bytes).ok().filter(|bytes| bytes.len() == 24)? else {
            return None;
        };
        magic.strip_prefix(&MAGIC)?;
        let nonce = bytes[3..19].first_chunk::<16>()?;
        let has_properties = match bytes[19] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let number = u32::from_be_bytes(*bytes[20..].first_chunk::<4>()?);
        let properties = (!has_properties).then(Properties::default);
        (number <= MAX_PART).then_some((UploadId { nonce: *nonce, has_properties, properties }, number))
    }

    /// What distinguishes the uploads to a key, and the order in which they are listed.
    pub fn identity(&self) -> ([u8; 16], bool) {
        (self.nonce, self.has_properties)
    }

    /// Whether both are the same upload.
    pub fn is(&self, other: &UploadId) -> bool {
        self.identity() == other.identity()
    }

    /// The entity tag of a part: Azure has none, so it is the id of its block.
    pub fn part_etag(&self, number: u32, size: u64) -> String {
        format!("\"{}{}\"", self.block(number), if size == 0 { EMPTY } else { "" })
    }

    /// The block of a part with this entity tag. None if the part is empty.
    ///
    /// # Errors
    /// A fault of `parts` if it is the entity tag of no part of this upload with this number.
    pub fn part_block(&self, number: u32, etag: &str) -> Result<Option<String>, Failure> {
        let block = self.block(number);
        match etag.trim().trim_matches('"').strip_prefix(&block) {
            Some("") => Ok(Some(block)),
            Some(EMPTY) => Ok(None),
            _ => Err(Error::fault("parts", format!("part {number} has an entity tag of no part of this upload"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn properties() -> Properties {
        Properties {
            content_type: Some("text/plain".into()),
            metadata: vec![("name".into(), "Grüße".into())],
            attributes: vec![("access-tier".into(), "Cool".into())],
        }
    }

    #[test]
    fn ids_round_trip_with_and_without_properties() {
        for properties in [Properties::default(), properties()] {
            let id = UploadId::new([1, 2], "k", properties.clone());
            let read = UploadId::read(&id.write().unwrap()).unwrap();
            assert_eq!(read, id);
            assert_eq!(read.properties().unwrap(), &properties);
        }
    }

    #[test]
    fn nonce_depends_on_entropy_and_key() {
        let nonce = |entropy, key| UploadId::new(entropy, key, Properties::default()).nonce;
        assert_ne!(nonce([1, 2], "k"), nonce([1, 3], "k"));
        assert_ne!(nonce([1, 2], "k"), nonce([1, 2], "l"));
    }

    #[test]
    fn block_ids_are_equally_long_and_lead_back_to_their_upload() {
        let bare = UploadId::new([1, 2], "k", Properties::default());
        let rich = UploadId::new([1, 2], "k", properties());
        for number in [ABORTED, 1, 255, MAX_PART] {
            for id in [&bare, &rich] {
                let block = id.block(number);
                assert_eq!(block.len(), 32);
                let (found, there) = UploadId::of_block(&block).unwrap();
                assert!(found.is(id) && there == number);
            }
        }
        let (found, _) = UploadId::of_block(&bare.block(1)).unwrap();
        assert_eq!(found, bare);
        // Its id says that the properties are missing.
        let (found, _) = UploadId::of_block(&rich.block(1)).unwrap();
        let found = UploadId::read(&found.write().unwrap()).unwrap();
        assert!(found.is(&rich) && !found.is(&bare));
        assert_eq!(found.properties().unwrap_err().kind, Kind::Unsupported);
        assert!(UploadId::of_block(&bare.block(MAX_PART + 1)).is_none());
    }

    #[test]
    fn blocks_of_other_clients_are_no_parts() {
        for id in
            ["", "AAAA", "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE=", "no base64", "MDAwMDAwMDAwMDAwMDAwMDAwMDAw"]
        {
            assert!(UploadId::of_block(id).is_none(), "{id}");
        }
    }

    #[test]
    fn part_etag_names_its_block() {
        let id = UploadId::new([1, 2], "k", Properties::default());
        assert_eq!(id.part_block(7, &id.part_etag(7, 5)).unwrap(), Some(id.block(7)));
        assert_eq!(id.part_block(7, &id.part_etag(7, 0)).unwrap(), None);
        let other = UploadId::new([1, 3], "k", Properties::default());
        for etag in [id.part_etag(8, 5), other.part_etag(7, 5), "\"\"".into(), "*".into()] {
            assert_eq!(id.part_block(7, &etag).unwrap_err().subject.as_deref(), Some("parts"));
        }
    }

    #[test]
    fn properties_beyond_the_length_of_an_id_are_a_fault() {
        let metadata = vec![("n".to_owned(), "v".repeat(1600))];
        let id = UploadId::new([1, 2], "k", Properties { metadata, ..Properties::default() });
        assert_eq!(id.write().unwrap_err().subject.as_deref(), Some("metadata"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_id_or_a_fault(kind in 0..4_u8, rest: Vec<u8>, text in "[A-Za-z0-9_-]{0,64}|\\PC{0,20}") {
            let forged = Base64UrlUnpadded::encode_string(&[&[kind], rest.as_slice()].concat());
            for text in [&forged, &text] {
                match UploadId::read(text) {
                    Ok(id) => prop_assert_eq!(UploadId::read(&id.write().unwrap()).unwrap(), id),
                    Err(fault) => prop_assert_eq!(fault.subject.as_deref(), Some("upload")),
                }
                UploadId::of_block(text);
            }
        }
    }
}
