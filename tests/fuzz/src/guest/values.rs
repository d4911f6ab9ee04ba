//! Single values: dates, durations, encoded words, continuations, endpoints and all settings.
//!
//! The input has a `name=value` on each line; each value is parsed as every kind, and all together as settings.

use sandbucket_plugin::checksum;
use sandbucket_plugin::contract::error;
use sandbucket_plugin::http::{encoded_words, headers, time};
use sandbucket_plugin::retry;
use sandbucket_plugin::settings::duration;
use sandbucket_s3::continuation::{Page, Versions};
use sandbucket_s3::endpoint::{AddressingStyle, AwsHosts, Endpoint};
use sandbucket_s3::settings;

use crate::text;

/// Settings, and values of any kind.
pub fn guest_values(data: &[u8]) {
    let text = text::of(data);
    let pairs = text::pairs(&text);
    value(&text);
    for (_, text) in &pairs {
        value(text);
    }
    let of = |name: &str| pairs.iter().find(|(there, _)| there == name).map_or("", |(_, value)| value);
    let on = |name: &str| of(name) == "true";
    let hosts = AwsHosts { dual_stack: on("dual-stack"), fips: on("fips"), accelerate: on("accelerate") };
    for style in [AddressingStyle::Auto, AddressingStyle::Path, AddressingStyle::Virtual] {
        let endpoint = Endpoint::resolve(Some(of("endpoint")), of("region"), of("bucket"), style, hosts);
        let Ok(found) = endpoint else { continue };
        // An authority and a path that an HTTP library accepts unchanged.
        let url = format!("http://{}{}", found.authority, found.object_path(of("key-prefix")));
        let uri: http::Uri = url.parse().unwrap_or_else(|error| panic!("{url:?}: {error}"));
        assert_eq!(uri.authority().expect("an authority").as_str(), found.authority);
    }
    if let Err(fault) = settings::parse(&pairs)
        && let secret @ ("secret-key" | "security-token" | "sse-customer-key") = fault.subject.as_deref().unwrap_or("")
    {
        // A message may share letters with a short secret by chance.
        assert!(of(secret).len() < 12 || !fault.message.contains(of(secret)), "{}", fault.message);
    }
}

fn value(text: &str) {
    for now in [0, 1_700_000_000, u64::MAX] {
        let _ = retry::retry_after(text, now);
    }
    let _ = duration::parse(text);
    if let Some(second) = time::date(text) {
        assert!(second <= time::LAST, "{second}");
        assert_eq!(time::date(&time::http_date(second)), Some(second));
    }
    assert_eq!(encoded_words::decode(&encoded_words::encode(text)), text);
    let _ = encoded_words::decode(text);
    if let Some(bytes) = checksum::from_base64(text) {
        assert_eq!(checksum::base64(&bytes), text);
    }
    if let Ok(page) = Page::read(text) {
        assert_eq!(page.write(), text);
    }
    if let Ok(Versions { key, version }) = Versions::read(text) {
        let again = Versions { key, version }.write();
        assert_eq!(Versions::read(&again), Ok(Versions { key, version }));
    }
    for most in [0, 1, 80] {
        let tidy = error::tidy(text, most);
        assert!(tidy.len() <= most + 16 && !tidy.chars().any(char::is_control), "{tidy:?}");
    }
    for (name, value) in headers::parse_lines(text) {
        assert!(!name.contains(':') && !value.contains('\n'));
    }
}
