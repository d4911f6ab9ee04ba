use sandbucket_plugin::settings::HOST_SETTINGS;

use super::*;

fn with(pairs: &[(&str, &str)]) -> Result<Settings, Failure> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    parse(&pairs)
}

/// Subject and message of the fault of these settings with a bucket.
fn wrong(pairs: &[(&str, &str)]) -> (String, String) {
    let fault = with(&[&[("bucket", "demo")], pairs].concat()).expect_err(&format!("{pairs:?}"));
    (fault.subject.unwrap(), fault.message)
}

#[test]
fn defaults_are_those_of_the_table() {
    let bare = with(&[("bucket", "demo")]).unwrap();
    assert_eq!((bare.bucket.as_str(), bare.region.as_str()), ("demo", "us-east-1"));
    assert_eq!(bare.endpoint.authority, "demo.s3.us-east-1.amazonaws.com");
    assert_eq!((bare.credentials.as_ref(), bare.key_prefix.as_str()), (None, ""));
    let mut defaults = vec![("bucket", "demo")];
    defaults.extend(TABLE.iter().filter_map(|setting| Some((setting.name, setting.default?))));
    assert_eq!(defaults.len(), 16);
    assert_eq!(with(&defaults).unwrap(), bare);
}

#[test]
fn table_of_settings_is_consistent() {
    let mut names = std::collections::BTreeSet::new();
    for setting in TABLE {
        for name in std::iter::once(&setting.name).chain(setting.aliases) {
            assert!(names.insert(*name), "{name} is there twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
            assert!(!HOST_SETTINGS.contains(name), "{name}");
        }
        assert!(setting.help.ends_with('.') && !setting.help.contains('\n'), "{}", setting.name);
        assert_eq!(setting.required, setting.name == "bucket");
    }
}

#[test]
fn every_setting_is_parsed() {
    let all = with(&[
        ("bucket", " demo "),
        ("region", "garage"),
        ("endpoint", "http://example.com:9000"),
        ("access-key", "ak"),
        ("secret-key", " s3 cret/+= "),
        ("session-token", "a/token+="),
        ("timeout", "500ms"),
        ("max-retries", "0"),
        ("key-prefix", " a/ "),
        ("verify-after-write", "True"),
        ("addressing-style", "virtual"),
        ("payload-signing", "unsigned"),
    ])
    .unwrap();
    assert_eq!((all.bucket.as_str(), all.region.as_str()), ("demo", "garage"));
    assert_eq!(all.endpoint.authority, "demo.example.com:9000");
    let credentials = all.credentials.unwrap();
    assert_eq!((credentials.access_key.as_str(), credentials.secret_key.expose()), ("ak", "s3 cret/+="));
    assert_eq!(credentials.security_token.unwrap().expose(), "a/token+=");
    assert_eq!((all.timeout, all.max_retries), (Duration::from_millis(500), 0));
    assert_eq!((all.key_prefix.as_str(), all.verify_after_write), (" a/ ", true));
    assert_eq!(all.payload_signing, PayloadSigning::Unsigned);
}

#[test]
fn blank_setting_is_absent() {
    let mut blank: Vec<_> = TABLE.iter().map(|setting| (setting.name, " \t")).collect();
    blank.extend(HOST_SETTINGS.map(|name| (name, "")));
    blank.extend([("session-token", ""), ("bucket", "demo"), ("bucket", "")]);
    assert_eq!(with(&blank).unwrap(), with(&[("bucket", "demo")]).unwrap());
    for none in [&[][..], &[("bucket", "  ")]] {
        assert_eq!(with(none).unwrap_err().subject.as_deref(), Some("bucket"));
    }
}

#[test]
fn malformed_setting_is_named() {
    let long = "n".repeat(1024);
    for (name, value) in [
        ("region", "eu central 1"),
        ("region", "a/b"),
        ("region", "a\nb"),
        ("region", &long),
        ("timeout", "soon"),
        ("timeout", "0"),
        ("timeout", "0ms"),
        ("timeout", "25h"),
        ("max-retries", "many"),
        ("max-retries", "-1"),
        ("max-retries", "101"),
        ("max-retries", "99999999999"),
        ("key-prefix", &long),
        ("verify-after-write", "maybe"),
        ("verify-after-write", "1"),
        ("addressing-style", "sideways"),
        ("payload-signing", "perhaps"),
    ] {
        let (subject, message) = wrong(&[(name, value)]);
        assert_eq!(subject, name);
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn credentials_invalid_in_a_header_are_rejected_and_not_displayed() {
    for (name, value) in [
        ("access-key", "hid\r\nden"),
        ("access-key", "hid den"),
        ("access-key", "hid/den"),
        ("access-key", "hidden\u{e9}"),
        ("security-token", "hid\nden"),
        ("security-token", "hid\tden"),
        ("security-token", "hidden\u{e9}"),
    ] {
        let mut pairs = vec![("access-key", "ak"), ("secret-key", "hidden")];
        pairs.retain(|(there, _)| *there != name);
        pairs.push((name, value));
        let (subject, message) = wrong(&pairs);
        assert_eq!(subject, name);
        assert!(!message.contains("hid"), "{message}");
    }
}

#[test]
fn incomplete_credentials_are_rejected() {
    for (given, missing) in
        [("access-key", "secret-key"), ("secret-key", "access-key"), ("session-token", "access-key")]
    {
        let (subject, message) = wrong(&[(given, "hidden")]);
        assert_eq!(subject, missing);
        assert!(message.contains(missing) && !message.contains("hidden"), "{message}");
    }
}

#[test]
fn duplicate_setting_is_rejected() {
    assert_eq!(wrong(&[("bucket", "demo")]).0, "bucket");
    let (subject, message) = wrong(&[("session-token", "a"), ("security-token", "a")]);
    assert_eq!(subject, "security-token");
    assert!(message.contains("session-token"), "{message}");
}

#[test]
fn unknown_setting_is_named_with_a_suggestion() {
    for (name, near) in [
        ("buckett", "bucket"),
        ("acces-key", "access-key"),
        ("access_key", "access-key"),
        ("Secret-Key", "secret-key"),
        ("max-retry", "max-retries"),
        ("session_token", "session-token"),
        ("end-point", "endpoint"),
        ("adressing-style", "addressing-style"),
        // Settings of the host in the same section.
        ("ca_file", "ca-file"),
        ("profle", "profile"),
        ("allow-invalid-cert", "allow-invalid-certs"),
        ("allow_private", "allow-private"),
    ] {
        let (subject, message) = wrong(&[(name, "hidden")]);
        assert_eq!(subject, name);
        assert!(message.contains(&format!("did you mean {near}?")) && !message.contains("hidden"), "{message}");
    }
    let (_, message) = wrong(&[("zzz\n", "")]);
    assert!(message.contains("there are bucket, region"), "{message}");
}

#[test]
fn setting_of_the_host_is_rejected_with_advice() {
    let (subject, message) = wrong(&[("profile", "work")]);
    assert_eq!(subject, "profile");
    assert!(message.contains("host") && message.contains("secret-key"), "{message}");
    for name in ["allow-invalid-certs", "ca-file"] {
        let (subject, message) = wrong(&[(name, "true")]);
        assert_eq!(subject, name);
        assert!(message.contains("host"), "{message}");
    }
}

#[test]
fn secrets_are_not_displayed() {
    let open =
        with(&[("bucket", "demo"), ("access-key", "ak"), ("secret-key", "hidden"), ("security-token", "hidden")]);
    let shown = format!("{open:?}");
    assert!(shown.contains("ak") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn default_attributes_are_validated_and_not_displayed() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let settings = with(&[("bucket", "demo"), ("sse-customer-key", key), ("request-payer", "true")]).unwrap();
    assert_eq!(
        settings.defaults.0.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["sse-customer-key", "request-payer"]
    );
    assert!(!format!("{settings:?}").contains(key));
    for (name, value) in
        [("sse-customer-key", "c2hvcnQ="), ("storage-class", "a\nb"), ("request-payer", "perhaps"), ("checksum", "crc")]
    {
        let (subject, message) = wrong(&[(name, value)]);
        assert_eq!(subject, name);
        assert!(message.starts_with(&format!("the setting {name}")) && !message.contains("c2hvcnQ"), "{message}");
    }
    assert_eq!(wrong(&[("sse-customer-key", key), ("server-side-encryption", "AES256")]).0, "sse-customer-key");
}

#[test]
fn default_checksum_is_crc64nvme_on_aws_only() {
    let checksum = |pairs: &[(&str, &str)]| with(&[&[("bucket", "demo")], pairs].concat()).unwrap().checksum();
    assert_eq!(checksum(&[]), Some(Algorithm::Crc64Nvme));
    assert_eq!(checksum(&[("endpoint", "s3.eu-west-1.amazonaws.com")]), Some(Algorithm::Crc64Nvme));
    assert_eq!(checksum(&[("endpoint", "https://minio.example.com")]), None);
    assert_eq!(checksum(&[("checksum", "none")]), None);
    assert_eq!(checksum(&[("endpoint", "localhost"), ("checksum", "SHA256")]), Some(Algorithm::Sha256));
}

#[test]
fn region_of_an_access_point_is_signed() {
    let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/p";
    assert_eq!(with(&[("bucket", arn), ("region", "us-east-1")]).unwrap().region, "us-west-2");
}

#[test]
fn customer_key_over_plain_http_is_rejected_unless_allowed() {
    let key = ("sse-customer-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    for endpoint in ["http://localhost:9000", "http://minio.example.com", "HTTP://10.0.0.1"] {
        let (subject, message) = wrong(&[key, ("endpoint", endpoint)]);
        assert_eq!(subject, "sse-customer-key");
        assert!(message.contains("allow-insecure-sse-customer-key") && !message.contains(key.1), "{message}");
        assert_eq!(wrong(&[key, ("endpoint", endpoint), (ALLOW_INSECURE_CUSTOMER_KEY, "false")]).0, "sse-customer-key");
        let allowed = [("bucket", "demo"), key, ("endpoint", endpoint), (ALLOW_INSECURE_CUSTOMER_KEY, "true")];
        assert!(with(&allowed).unwrap().sends_customer_keys());
    }
    for endpoint in ["", "https://minio.example.com", "minio.example.com:9000"] {
        assert!(with(&[("bucket", "demo"), key, ("endpoint", endpoint)]).unwrap().sends_customer_keys());
    }
}
