//! Pages of containers.

use sandbucket_plugin::contract::model::{Bucket, BucketPage};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::MalformedResponse;
use sandbucket_plugin::xml::Element;

use super::listing::next;

/// Maximum length of a container's name in bytes.
const MAX_NAME: usize = 63;

/// Parses a page of containers. Azure reports no time of creation. `requested` is the continuation of the request.
pub fn containers(page: &Element<'_>, requested: Option<&str>) -> Result<BucketPage, MalformedResponse> {
    let mut buckets = Vec::new();
    for container in page.child("Containers").iter().flat_map(|list| list.children_named("Container")) {
        bounds::count("Container", buckets.len() + 1, bounds::MAX_PAGE)?;
        let name = container.text("Name").ok_or_else(|| MalformedResponse::missing("Name"))?;
        buckets.push(Bucket { name: bounds::text("Name", name, MAX_NAME)?.to_owned(), ..Bucket::default() });
    }
    Ok(BucketPage { buckets, next: next(page, requested)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::listing::ROOT;
    use sandbucket_plugin::xml;

    fn read(inside: &str, requested: Option<&str>) -> Result<BucketPage, MalformedResponse> {
        let text = format!("<{ROOT}><Containers>{inside}</Containers><NextMarker>m</NextMarker></{ROOT}>");
        containers(&xml::document(text.as_bytes(), ROOT).unwrap().root(), requested)
    }

    #[test]
    fn containers_are_parsed() {
        let page = read("<Container><Name>abc</Name><Properties/></Container>", None).unwrap();
        let bucket = Bucket { name: "abc".into(), ..Bucket::default() };
        assert_eq!(page, BucketPage { buckets: vec![bucket], next: Some("mm".into()) });
        assert!(read("", Some("mm")).is_err());
        assert!(read("<Container/>", None).is_err());
        assert!(read(&format!("<Container><Name>{}</Name></Container>", "n".repeat(64)), None).is_err());
    }
}
