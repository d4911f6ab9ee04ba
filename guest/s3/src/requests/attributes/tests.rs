use super::*;
use crate::requests::{Method, base};
use crate::settings;
use sandbucket_plugin::contract::error::Kind;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const ALL: AttributeGroups = groups::PROPERTIES
    .union(groups::ENCRYPTION)
    .union(groups::CUSTOMER_KEY)
    .union(groups::SOURCE)
    .union(groups::CHECKSUM)
    .union(groups::BYPASS)
    .union(groups::MATCH)
    .union(groups::PART)
    .union(groups::CHECKSUM_MODE);

fn store(more: &[(&str, &str)]) -> Settings {
    let mut pairs = [&[("bucket", "demo")], more].concat();
    if !more.iter().any(|(name, _)| *name == "endpoint") {
        pairs.push(("endpoint", "http://localhost:9000"));
    }
    settings::parse(&pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>())
        .unwrap()
}

/// Settings of a store on plain http.
const INSECURE: (&str, &str) = ("allow-insecure-sse-customer-key", "true");

/// Headers of the attributes, as lines.
fn applied(settings: &Settings, accepts: AttributeGroups, attributes: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    let mut request = base(Method::Put, settings, "k");
    let attributes = attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    apply(&mut request, &CallOptions { attributes, ..CallOptions::default() }, settings, accepts)?;
    Ok(request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect())
}

#[test]
fn attribute_becomes_its_header() {
    for (name, value, header) in [
        ("cache-control", "no-store", "cache-control: no-store"),
        ("storage-class", " STANDARD_IA ", "x-amz-storage-class: STANDARD_IA"),
        ("tags", "a=b&c=d", "x-amz-tagging: a=b&c=d"),
        ("acl", "public-read", "x-amz-acl: public-read"),
        ("object-lock-legal-hold", "ON", "x-amz-object-lock-legal-hold: ON"),
        ("server-side-encryption", "aws:kms", "x-amz-server-side-encryption: aws:kms"),
        ("sse-bucket-key", "false", "x-amz-server-side-encryption-bucket-key-enabled: false"),
        ("request-payer", "True", "x-amz-request-payer: requester"),
        ("request-payer", "requester", "x-amz-request-payer: requester"),
        ("expected-bucket-owner", "123456789012", "x-amz-expected-bucket-owner: 123456789012"),
        ("checksum-crc64nvme", "rosUhgp5mIg=", "x-amz-checksum-crc64nvme: rosUhgp5mIg="),
        ("bypass-governance-retention", "true", "x-amz-bypass-governance-retention: true"),
        ("if-match", "\"a\"", "if-match: \"a\""),
        ("checksum-mode", "true", "x-amz-checksum-mode: ENABLED"),
    ] {
        assert_eq!(applied(&store(&[]), ALL, &[(name, value)]).unwrap(), [header]);
    }
    assert!(applied(&store(&[]), ALL, &[("request-payer", "false")]).unwrap().is_empty());
}

#[test]
fn part_number_becomes_a_query_parameter() {
    let mut request = base(Method::Head, &store(&[]), "k");
    let part = |value: &str| CallOptions {
        attributes: vec![("part-number".to_owned(), value.to_owned())],
        ..CallOptions::default()
    };
    apply(&mut request, &part("10000"), &store(&[]), ALL).unwrap();
    assert!(request.headers.is_empty() && request.path_and_query().ends_with("/demo/k?partNumber=10000"));
    for wrong in ["0", "10001", "one", "-1", "+1", "1&x=2", ""] {
        assert!(apply(&mut request, &part(wrong), &store(&[]), ALL).is_err(), "{wrong}");
    }
}

#[test]
fn attributes_are_documented() {
    let page = include_str!("../../../../../docs/attributes.md");
    let names = crate::headers::RESPONSE_ATTRIBUTES.iter().map(|(name, _)| *name);
    for name in TABLE.iter().map(|known| known.name).chain(names) {
        assert!(page.contains(&format!("`{name}`")), "docs/attributes.md says nothing of {name}");
    }
}

/// The digest is that of `md5sum` for the bytes 0 to 31.
#[test]
fn customer_key_becomes_three_headers() {
    let trusted = store(&[INSECURE]);
    let headers = applied(&trusted, ALL, &[("sse-customer-key", KEY)]).unwrap();
    let name = "x-amz-server-side-encryption-customer-";
    let digest = "tP/LI3N87DFaSk0aoqYgzg==";
    assert_eq!(headers[0], format!("{name}algorithm: AES256"));
    assert_eq!(headers[1], format!("{name}key: {KEY}"));
    assert_eq!(headers[2], format!("{name}key-md5: {digest}"));

    let source = applied(&trusted, ALL, &[("source-sse-customer-key", KEY)]).unwrap();
    assert_eq!(source[2].split(": ").last(), headers[2].split(": ").last());
    assert!(source.iter().all(|line| line.starts_with("x-amz-copy-source-server-side-encryption-customer-")));
}

#[test]
fn malformed_attribute_is_rejected_without_repeating_a_key() {
    for (name, value) in [
        ("cache-control", "a\r\nb: c"),
        ("tags", ""),
        ("sse-bucket-key", "yes"),
        ("sse-customer-key", "c2hvcnQ="),
        ("sse-customer-key", "hunter2 is no base64"),
        ("checksum-crc32", "rosUhgp5mIg="),
        ("request-payer", "me"),
    ] {
        let refused = applied(&store(&[INSECURE]), ALL, &[(name, value)]).unwrap_err();
        assert_eq!((refused.kind, refused.subject.as_deref()), (Kind::InvalidArgument, Some(name)));
        assert!(!refused.message.contains("hunter2"));
    }
    let twice = applied(&store(&[]), ALL, &[("acl", "private"), ("acl", "private")]).unwrap_err();
    assert!(twice.message.contains("twice"));
}

#[test]
fn attribute_not_accepted_by_the_operation_is_unsupported() {
    let refused = |accepts, name| applied(&store(&[]), accepts, &[(name, "x")]).unwrap_err();
    let fault = refused(groups::PROPERTIES, "sse-kms-key-id");
    assert_eq!((fault.kind, fault.subject.as_deref()), (Kind::Unsupported, Some("sse-kms-key-id")));
    assert!(fault.message.contains("storage-class") && fault.message.contains("request-payer"));
    let left_out = refused(ALL, "website-redirect-location").message;
    assert!(left_out.contains("web sites"), "{left_out}");
}

#[test]
fn default_attributes_apply_unless_the_call_overrides_them() {
    let class = ("storage-class", "GLACIER");
    let ours = store(&[class, ("server-side-encryption", "AES256"), ("request-payer", "true"), INSECURE]);
    let writes = groups::PROPERTIES.union(groups::ENCRYPTION).union(groups::CUSTOMER_KEY);
    let (class, payer) = ("x-amz-storage-class: GLACIER", "x-amz-request-payer: requester");
    let aes = "x-amz-server-side-encryption: AES256";
    assert_eq!(applied(&ours, writes, &[]).unwrap(), [class, aes, payer]);
    assert_eq!(applied(&ours, groups::NONE, &[]).unwrap(), [payer]);
    assert_eq!(applied(&ours, writes, &[("storage-class", "X")]).unwrap(), ["x-amz-storage-class: X", aes, payer]);
    let keyed = store(&[("sse-customer-key", KEY), INSECURE]);
    assert_eq!(applied(&keyed, groups::CUSTOMER_KEY, &[]).unwrap().len(), 3);
    let copied = applied(&keyed, groups::CUSTOMER_KEY.union(groups::SOURCE), &[]).unwrap();
    assert_eq!(copied.iter().filter(|line| line.ends_with(&format!("-key: {KEY}"))).count(), 2, "{copied:?}");
    let own_key = applied(&ours, writes, &[("sse-customer-key", KEY)]).unwrap();
    assert!(!own_key.contains(&aes.to_owned()) && own_key.contains(&payer.to_owned()), "{own_key:?}");
}

#[test]
fn customer_key_over_plain_http_is_rejected_by_every_operation() {
    for accepts in [ALL, groups::CUSTOMER_KEY, groups::CUSTOMER_KEY.union(groups::SOURCE)] {
        for name in ["sse-customer-key", "source-sse-customer-key"] {
            if name.starts_with("source") && !accepts.contains(groups::SOURCE) {
                continue;
            }
            let refused = applied(&store(&[]), accepts, &[(name, KEY)]).unwrap_err();
            assert_eq!((refused.kind, refused.subject.as_deref()), (Kind::InvalidArgument, Some(name)));
            assert!(refused.message.contains("allow-insecure-sse-customer-key"), "{refused}");
            assert!(refused.message.contains(&format!("the attribute {name}")), "{refused}");
            assert!(!refused.message.contains(KEY), "{refused}");
            let https = store(&[("endpoint", "https://s3.example.com")]);
            assert_eq!(applied(&https, accepts, &[(name, KEY)]).unwrap().len(), 3);
        }
    }
}
