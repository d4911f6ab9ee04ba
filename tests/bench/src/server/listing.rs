//! Listings of generated keys: rendered once, then served from memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;

use bytes::Bytes;

/// Keys per page.
const PAGE: u64 = 1_000;

/// The pages requested so far, by number of keys of the list and first key of the page.
#[derive(Default)]
pub struct Pages {
    rendered: RefCell<HashMap<(u64, u64), Bytes>>,
}

impl Pages {
    /// A page of the list whose prefix contains its number of keys, such as `list/100000/`.
    pub fn page(&self, bucket: &str, prefix: &str, continuation: Option<&str>) -> Option<Bytes> {
        let keys: u64 = prefix.strip_prefix("list/")?.trim_end_matches('/').parse().ok()?;
        let start: u64 = match continuation {
            Some(token) => token.parse().ok()?,
            None => 0,
        };
        let mut rendered = self.rendered.borrow_mut();
        Some(rendered.entry((keys, start)).or_insert_with(|| render(bucket, prefix, keys, start)).clone())
    }
}

fn render(bucket: &str, prefix: &str, keys: u64, start: u64) -> Bytes {
    let end = keys.min(start + PAGE);
    let mut xml = String::with_capacity(300 * PAGE as usize);
    // Writing to a string does not fail.
    let _ = write!(
        xml,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{PAGE}</MaxKeys>\
         <IsTruncated>{}</IsTruncated>",
        end.saturating_sub(start),
        end < keys
    );
    if end < keys {
        let _ = write!(xml, "<NextContinuationToken>{end}</NextContinuationToken>");
    }
    let folder = prefix.trim_end_matches('/');
    for number in start..end {
        let _ = write!(
            xml,
            "<Contents><Key>{folder}/2026/photo-{number:08}.jpg</Key><LastModified>2026-01-02T03:04:05.000Z\
             </LastModified><ETag>&quot;{number:032x}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass>\
             </Contents>",
            1_000 + number
        );
    }
    xml.push_str("</ListBucketResult>");
    xml.into()
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn pages_cover_the_whole_list() {
        let pages = Pages::default();
        let (mut keys, mut continuation) = (0, None);
        loop {
            let page = pages.page("bench", "list/2500/", continuation.as_deref()).expect("a page");
            let page = std::str::from_utf8(&page).expect("text");
            keys += page.matches("<Key>list/2500/").count();
            let Some((_, rest)) = page.split_once("<NextContinuationToken>") else { break };
            continuation = rest.split_once('<').map(|(token, _)| token.to_owned());
        }
        assert_eq!(keys, 2500);
        assert_eq!(pages.page("bench", "photos/", None), None);
    }
}
