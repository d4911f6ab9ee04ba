//! Pages of buckets.

use crate::continuation::Page;
use sandbucket_plugin::contract::model::{Bucket, BucketPage};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::MalformedResponse;
use sandbucket_plugin::xml::Element;

use super::listing::at;

/// Maximum number of buckets in a page: the limit of `max-buckets`. A service that does not page sends all.
const MAX_BUCKETS: usize = 10_000;

/// Parses a `ListAllMyBucketsResult`. `requested` is the continuation of the request.
pub fn buckets(page: &Element<'_>, requested: Option<&str>) -> Result<BucketPage, MalformedResponse> {
    let mut buckets = Vec::new();
    for bucket in page.child("Buckets").iter().flat_map(|list| list.children_named("Bucket")) {
        bounds::count("Bucket", buckets.len() + 1, MAX_BUCKETS)?;
        let name = bucket.text("Name").ok_or_else(|| MalformedResponse::missing("Name"))?;
        let region = bucket.text("BucketRegion");
        buckets.push(Bucket {
            name: bounds::text("Name", name, bounds::MAX_ETAG)?.to_owned(),
            created: at(&bucket, "CreationDate"),
            region: region.map(|region| bounds::text("BucketRegion", region, 64).map(str::to_owned)).transpose()?,
        });
    }
    let token = page.text("ContinuationToken");
    let token = token.map(|token| bounds::text("ContinuationToken", token, bounds::MAX_TOKEN)).transpose()?;
    let next = token.map(|token| Page::Token(token).write());
    if next.is_some() && next.as_deref() == requested {
        return Err(MalformedResponse("it goes on where it began".into()));
    }
    Ok(BucketPage { buckets, next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::xml;

    #[test]
    fn buckets_are_parsed() {
        let text = "<ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets><Bucket><Name>a</Name>\
                    <CreationDate>2009-10-12T17:50:30.000Z</CreationDate><BucketRegion>eu-west-1</BucketRegion></Bucket>\
                    <Bucket><Name>b</Name></Bucket></Buckets><ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>";
        let document = xml::document(text.as_bytes(), "ListAllMyBucketsResult").unwrap();
        let page = buckets(&document.root(), None).unwrap();
        let first = Bucket { name: "a".into(), created: Some(1_255_369_830.into()), region: Some("eu-west-1".into()) };
        let second = Bucket { name: "b".into(), ..Bucket::default() };
        assert_eq!(page, BucketPage { buckets: vec![first, second], next: Some("tt".into()) });
        assert!(buckets(&document.root(), Some("tt")).is_err());
    }

    #[test]
    fn bucket_without_a_name_is_malformed() {
        let text = "<L><Buckets><Bucket><CreationDate/></Bucket></Buckets></L>";
        assert!(buckets(&xml::document(text.as_bytes(), "L").unwrap().root(), None).is_err());
    }
}
