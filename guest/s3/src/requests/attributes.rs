//! Headers of a call's attributes and of the store's defaults. The call's take precedence.

use crate::attributes::{TABLE, groups, push};
use crate::settings::{Settings, insecure_customer_key};
use sandbucket_plugin::attributes::{AttributeGroups, accepted, find};
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::CallOptions;
use sandbucket_plugin::http::request::Request;

/// Attributes that are deliberately unsupported, and why.
const EXCLUDED: [(&str, &str); 1] = [(
    "website-redirect-location",
    "it belongs to web sites that are served out of a bucket, where it sends readers elsewhere: a blob store hands out \
     the blob that was stored",
)];

/// Adds the headers of the call's attributes, and of the store's defaults that the operation accepts.
///
/// # Errors
/// Those of [`accepted`], or a fault of an attribute that is malformed, or of a key over plain http. The message never contains a key.
pub fn apply(
    request: &mut Request,
    call: &CallOptions,
    settings: &Settings,
    accepts: AttributeGroups,
) -> Result<(), Failure> {
    for given in accepted(&TABLE, call, accepts) {
        let (attribute, value) = given.map_err(excluded)?;
        if attribute.is_key() && !settings.sends_customer_keys() {
            return Err(insecure_customer_key(attribute.name, &format!("the attribute {}", attribute.name)));
        }
        match attribute.parameter() {
            Some(_) => push(&mut request.query, attribute, value)?,
            None => push(&mut request.headers, attribute, value)?,
        }
    }
    // A blob is encrypted one way: encryption attributes of the call exclude all defaults.
    let own = |names: &[&str]| call.attributes.iter().any(|(name, _)| names.contains(&name.as_str()));
    let encrypted = own(&["server-side-encryption", "sse-kms-key-id", "sse-customer-key"]);
    for (name, value) in &settings.defaults.0 {
        let Some(attribute) = find(&TABLE, name, accepts) else { continue };
        let decided = encrypted && (attribute.group == groups::ENCRYPTION || attribute.group == groups::CUSTOMER_KEY);
        if !decided && !own(&[*name]) {
            push(&mut request.headers, attribute, value.expose())?;
        }
        // The source of a copy is encrypted with the same key.
        let source = find(&TABLE, "source-sse-customer-key", accepts);
        if *name == "sse-customer-key"
            && let Some(source) = source.filter(|source| !own(&[source.name]))
        {
            push(&mut request.headers, source, value.expose())?;
        }
    }
    Ok(())
}

/// Whether the request has a checksum of its body.
pub fn has_checksum(request: &Request) -> bool {
    request.headers.iter().any(|(name, _)| name.starts_with("x-amz-checksum-") || name == "content-md5")
}

/// The error of an attribute that is not accepted, with the reason for one that no operation accepts.
fn excluded(mut fault: Failure) -> Failure {
    if let Some((name, why)) = EXCLUDED.iter().find(|(excluded, _)| fault.subject.as_deref() == Some(excluded)) {
        fault.message = format!("{name} is not supported: {why}");
    }
    fault
}

#[cfg(test)]
mod tests;
