//! Headers of a call's attributes and of the store's defaults. The call's take precedence.

use crate::attributes::{Accepts, TABLE, push};
use crate::settings::{Settings, insecure_customer_key};
use sandbucket_plugin::contract::error::{Error, Failure, Kind};
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
/// [`Kind::Unsupported`] for an attribute that the operation does not take, [`Kind::InvalidArgument`] for one given twice
/// or malformed, or for a key over plain http. The message never contains a key.
pub fn apply(request: &mut Request, call: &CallOptions, settings: &Settings, accepts: Accepts) -> Result<(), Failure> {
    for (n, (name, value)) in call.attributes.iter().enumerate() {
        let Some(attribute) = TABLE.iter().find(|known| known.name == name && accepts.has(known.accepts)) else {
            return Err(not_accepted(name, accepts));
        };
        if call.attributes[..n].iter().any(|(before, _)| before == name) {
            return Err(Error::fault(attribute.name, format!("the attribute {name} is given twice")));
        }
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
        let Some(attribute) = TABLE.iter().find(|known| known.name == *name && accepts.has(known.accepts)) else {
            continue;
        };
        let decided =
            encrypted && (attribute.accepts == Accepts::ENCRYPTION || attribute.accepts == Accepts::CUSTOMER_KEY);
        if !decided && !own(&[*name]) {
            push(&mut request.headers, attribute, value.expose())?;
        }
        // The source of a copy is encrypted with the same key.
        let source = TABLE.iter().find(|known| known.name == "source-sse-customer-key" && accepts.has(known.accepts));
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

fn not_accepted(name: &str, accepts: Accepts) -> Failure {
    let name = sandbucket_plugin::contract::error::tidy(name, 64);
    let why = if let Some((_, why)) = EXCLUDED.iter().find(|(excluded, _)| *excluded == name) {
        format!("{name} is not supported: {why}")
    } else {
        let known: Vec<&str> =
            TABLE.iter().filter(|known| accepts.has(known.accepts)).map(|known| known.name).collect();
        format!("there is no attribute \"{name}\" here: this operation accepts {}", known.join(", "))
    };
    let mut fault = Error::fault(&name, why);
    fault.kind = Kind::Unsupported;
    fault
}

#[cfg(test)]
mod tests;
