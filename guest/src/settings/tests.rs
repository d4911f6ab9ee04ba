use super::*;

fn given(pairs: &[(&str, &str)]) -> Result<Settings, Fault> {
    let mut all = vec![("bucket".to_string(), "demo".to_string())];
    all.extend(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    parse(&all)
}

fn fault(pairs: &[(&str, &str)]) -> (String, String) {
    let fault = given(pairs).unwrap_err();
    (fault.subject.unwrap_or_default().into_owned(), fault.message)
}

#[test]
fn defaults_are_those_of_the_table() {
    let settings = given(&[]).unwrap();
    let default = |name: &str| TABLE.iter().find(|known| known.name == name).unwrap().default.unwrap();
    assert_eq!(settings.region, default("region"));
    assert_eq!(Ok(settings.timeout), crate::duration::parse(default("timeout")));
    assert_eq!(settings.max_retries.to_string(), default("max-retries"));
    assert_eq!(settings.verify_after_write.to_string(), default("verify-after-write"));
    assert_eq!(settings.payload_signing, PayloadSigning::Auto);
    assert!(settings.credentials.is_none() && settings.key_prefix.is_empty());
    assert_eq!(settings.endpoint.authority, "demo.s3.us-east-1.amazonaws.com");
}

#[test]
fn all_are_understood() {
    let settings = given(&[
        ("region", "eu-central-1"),
        ("access-key", "AK"),
        ("secret-key", "a/b+c"),
        ("session-token", "T"),
        ("endpoint", "http://h:9000"),
        ("timeout", "500ms"),
        ("max-retries", "0"),
        ("key-prefix", "a/"),
        ("verify-after-write", "true"),
        ("addressing-style", "path"),
        ("payload-signing", "unsigned"),
    ])
    .unwrap();
    let credentials = settings.credentials.as_ref().unwrap();
    assert_eq!((credentials.access_key.as_str(), credentials.secret_key.expose()), ("AK", "a/b+c"));
    assert_eq!(credentials.security_token.as_ref().map(Secret::expose), Some("T"));
    assert_eq!((settings.timeout, settings.max_retries), (Duration::from_millis(500), 0));
    assert!(settings.verify_after_write && settings.key_prefix == "a/");
    assert_eq!(settings.payload_signing, PayloadSigning::Unsigned);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("a/b+c") && !shown.contains("\"T\""), "{shown}");
}

#[test]
fn blank_is_absent() {
    let settings =
        given(&[("endpoint", " "), ("access-key", ""), ("secret-key", ""), ("profile", ""), ("timeout", "")]).unwrap();
    assert!(settings.credentials.is_none());
    assert_eq!(parse(&[("bucket".into(), "  ".into())]).unwrap_err().subject.as_deref(), Some("bucket"));
}

#[test]
fn each_fault_names_its_setting() {
    for (pairs, subject, words) in [
        (&[("buckett", "x")][..], "buckett", "did you mean bucket?"),
        (&[("acces_key", "x")], "acces_key", "did you mean access-key?"),
        (&[("sesion-token", "x")], "sesion-token", "did you mean session-token?"),
        (&[("completely-different", "x")], "completely-different", "there are bucket, region"),
        (&[("profile", "work")], "profile", "the host must resolve it"),
        (&[("region", "a"), ("region", "b")], "region", "twice"),
        (&[("security-token", "a"), ("session-token", "b")], "security-token", "twice"),
        (&[("access-key", "AK")], "secret-key", "without secret-key"),
        (&[("secret-key", "SK")], "access-key", "without access-key"),
        (&[("security-token", "T")], "access-key", "without access-key"),
        (&[("access-key", "A\nB"), ("secret-key", "s")], "access-key", "line end"),
        (&[("access-key", "AK"), ("secret-key", "s"), ("security-token", "a\r\nb")], "security-token", "line end"),
        (&[("region", "a\nb")], "region", "line end"),
        (&[("endpoint", "ftp://x")], "endpoint", "scheme"),
        (&[("timeout", "soon")], "timeout", "500ms"),
        (&[("timeout", "0s")], "timeout", "longer than 0"),
        (&[("max-retries", "-1")], "max-retries", "0 to 100"),
        (&[("max-retries", "101")], "max-retries", "0 to 100"),
        (&[("verify-after-write", "yes")], "verify-after-write", "false, true"),
        (&[("addressing-style", "host")], "addressing-style", "auto, path, virtual"),
        (&[("payload-signing", "maybe")], "payload-signing", "auto, signed, unsigned"),
    ] {
        let (named, message) = fault(pairs);
        assert_eq!(named, subject, "{message}");
        assert!(message.contains(words), "{message}");
        assert!(message.contains(subject), "{message}");
    }
    let long = "p".repeat(1024);
    assert_eq!(fault(&[("key-prefix", &long)]).0, "key-prefix");
}

#[test]
fn the_table_names_each_setting_once_and_says_what_it_does() {
    let mut names: Vec<&str> = TABLE.iter().flat_map(|known| [&[known.name], known.aliases].concat()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(TABLE.iter().all(|known| !known.help.is_empty() && !known.help.contains('\n')));
    let secret: Vec<&str> = TABLE.iter().filter(|known| known.secret).map(|known| known.name).collect();
    assert_eq!(secret, ["secret-key", "security-token"]);
}
