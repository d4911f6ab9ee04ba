use std::fs;
use std::time::Duration;

use super::*;
use crate::error::Error;
use crate::http::Proxy;
use crate::plugins::{BuiltIn, PluginSource};

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let path = Some(Path::new("/etc/app/sandbucket.toml"));
    Config::read(&Reader::new(path, text, &Environment::of(variables)), None)
}

fn read_store(text: &str, store: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let path = Some(Path::new("/etc/app/sandbucket.toml"));
    Config::read(&Reader::new(path, text, &Environment::of(variables)), Some(store))
}

fn error(text: &str) -> String {
    read(text, &[]).unwrap_err().to_string()
}

const SECTION_OF_A_USER: &str = r#"
[store.blob.s3]
bucket = "stalwart"
region = "eu-central-1"
access-key = "%{env:KEY}%"
secret-key = "minioadmin"
endpoint = "https://myminio:9000"
security-token = ""
profile = " "
timeout = "30s"
max-retries = 5
verify-after-write = true
"#;

#[test]
fn section_is_parsed_as_documented() {
    let config = read(SECTION_OF_A_USER, &[("KEY", "admin")]).unwrap();
    let of = |name: &str| config.settings().iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(of("bucket"), Some("stalwart"));
    assert_eq!(of("access-key"), Some("admin"));
    assert_eq!(of("max-retries"), Some("5"));
    assert_eq!(of("verify-after-write"), Some("true"));
    assert_eq!((of("security-token"), of("profile")), (None, None));
    assert_eq!(config.limits(), &Limits::default());
    assert!(!format!("{config:?}").contains("minioadmin"));
}

#[test]
fn host_settings_are_not_passed_to_the_plugin() {
    let config = read(
        "[other]\nx = 1\n[store.blob.s3]\nbucket = 'b'\nca-file = 'ca.pem'\nallow-invalid-certs = 'true'\n\
         allow-private = true\n[sandbox]\nmemory = '128MiB'\ncpu-time = 3\nplugin = '/opt/p.wasm'\ncache-dir = 'c'\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.settings(), [("bucket".to_owned(), "b".to_owned())]);
    assert_eq!(config.tls().ca_file.as_deref(), Some(Path::new("/etc/app/ca.pem")));
    assert!(config.tls().allow_invalid_certs && config.store.allow_private);
    assert_eq!((config.limits().memory, config.limits().cpu_time), (128 << 20, Duration::from_secs(3)));
    assert_eq!(config.sandbox.plugin.as_deref(), Some(Path::new("/opt/p.wasm")));
    assert_eq!(config.sandbox.cache_dir.as_deref(), Some(Path::new("/etc/app/c")));
}

#[test]
fn store_is_chosen_by_name() {
    let archive = "[store.blob.archive]\nplugin = 'p/dav.wasm'\nendpoint = 'https://dav.test'\n";
    let text = format!("{archive}[store.blob.s3]\nbucket = 'b'\n[store.blob.copies]\nplugin = 's3'\nbucket = 'c'\n");
    let source = |config: &Config| config.store.plugin.as_ref().map(|named| named.source.clone());
    let default = read(&text, &[]).unwrap();
    assert_eq!((default.store_name(), source(&default)), ("s3", None));
    let archived = read_store(&text, "archive", &[]).unwrap();
    assert_eq!(source(&archived), Some(PluginSource::File("/etc/app/p/dav.wasm".into())));
    assert_eq!(archived.settings(), [("endpoint".to_owned(), "https://dav.test".to_owned())]);
    let copies = read_store(&text, "copies", &[]).unwrap();
    assert_eq!(source(&copies), Some(PluginSource::BuiltIn(BuiltIn::S3)));
    // The only store is meant where none is named.
    assert_eq!(read(archive, &[]).unwrap().store_name(), "archive");

    let two = format!("{archive}[store.blob.copies]\nplugin = 's3'\n");
    for (error, expected) in [
        (read(&two, &[]), "store.blob: there are several stores, and none is named `s3`: archive, copies"),
        (read_store(&two, "s3", &[]), "there is no section [store.blob.s3]; there are: archive, copies"),
        (read("[sandbox]\n", &[]), "there is no section [store.blob.s3]"),
    ] {
        assert_eq!(error.unwrap_err().to_string(), format!("/etc/app/sandbucket.toml: {expected}"));
    }
}

#[test]
fn plugin_is_a_built_in_one_or_a_file() {
    let plugin = |value: &str| format!("[store.blob.x]\nplugin = {value}\nendpoint = 'h.test'\n");
    for wrong in ["'S3'", "'dav'", "3", "['s3']"] {
        let error = error(&plugin(wrong));
        assert!(error.starts_with("/etc/app/sandbucket.toml:2: store.blob.x.plugin: expected \"s3\", "), "{error}");
    }
    for file in ["'./dav'", "'dav.wasm'", "'%{env:FILE}%'"] {
        let config = read(&plugin(file), &[("FILE", "/opt/dav.wasm")]).unwrap();
        assert!(matches!(config.store.plugin.unwrap().source, PluginSource::File(_)), "{file}");
    }
    let error = error("[store.blob.x]\nendpoint = 'h.test'\n");
    assert!(error.starts_with("/etc/app/sandbucket.toml: store.blob.x: it needs `plugin`: \"s3\", "), "{error}");
    assert!(error.contains("or the path of a component"), "{error}");
}

#[test]
fn store_of_another_service_takes_nothing_from_awss_variables() {
    let variables = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_REGION", "eu-west-1")];
    let text = "[store.blob.dav]\nplugin = 'dav.wasm'\nendpoint = 'h.test'\n";
    let settings = |text: &str| read(text, &variables).unwrap().settings().to_vec();
    assert_eq!(settings(text), [("endpoint".to_owned(), "h.test".to_owned())]);
    for s3 in ["[store.blob.x]\nplugin = 's3'\n", "[store.blob.s3]\nplugin = 'own.wasm'\n"] {
        let found = settings(&format!("{s3}bucket = 'b'\n"));
        assert!(found.iter().any(|(name, value)| name == "access-key" && value == "AKID"), "{s3}");
    }
    // A section that names a source has it, whatever its plugin.
    let found = settings(&format!("{text}credentials = 'environment'\n"));
    assert!(found.iter().any(|(name, _)| name == "secret-key"));
}

#[test]
fn proxy_is_a_url_or_none_and_its_password_is_not_shown() {
    let proxy = |value: &str| {
        let text = format!("[store.blob.s3]\nbucket = 'b'\nproxy = '{value}'\n");
        read(&text, &[("PASSWORD", "hush")]).map(|config| {
            assert_eq!(config.settings(), [("bucket".to_owned(), "b".to_owned())]);
            config.store.proxy
        })
    };
    assert_eq!(proxy("").unwrap(), None);
    assert_eq!(proxy("none").unwrap(), Some(Proxy::none().allow_private()));
    let ours = proxy("http://user:%{env:PASSWORD}%@proxy.test:3128").unwrap().unwrap();
    assert_eq!(ours, Proxy::url("http://user:hush@proxy.test:3128").unwrap().allow_private());
    assert_eq!(format!("{ours:?}"), "Proxy(http://proxy.test:3128)");
    for wrong in ["socks5://user:%{env:PASSWORD}%@p:1", "http://user:%{env:PASSWORD}%@p:port"] {
        let error = proxy(wrong).unwrap_err().to_string();
        assert!(error.starts_with("/etc/app/sandbucket.toml:3: store.blob.s3.proxy: "), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn errors_name_file_line_and_key() {
    let at = |line: usize, key: &str| format!("/etc/app/sandbucket.toml:{line}: {key}: ");
    let section = "[store.blob.s3]\nbucket = 'b'\n";
    let missing = error(&format!("{section}access-key = '%{{env:NONE}}%'"));
    assert!(missing.starts_with(&at(3, "store.blob.s3.access-key")) && missing.contains("NONE"), "{missing}");
    assert!(error(&format!("{section}timeout = 1.5")).contains("a fraction"));
    assert!(error(&format!("{section}\nallow-private = 'maybe'")).starts_with(&at(4, "store.blob.s3.allow-private")));
    assert!(error(&format!("{section}profile = 'p'")).starts_with(&at(3, "store.blob.s3.profile")));
    assert!(error(&format!("{section}credentials = 'azure'")).starts_with(&at(3, "store.blob.s3.credentials")));
    let two = error(&format!("{section}access-key = 'hush'\ncredentials = 'aws'"));
    assert!(two.starts_with(&at(4, "store.blob.s3.credentials")) && two.contains("`access-key`"), "{two}");
    assert!(!two.contains("hush"), "{two}");
    assert!(error(&format!("{section}[sandbox]\nmemory = 'lots'")).starts_with(&at(4, "sandbox.memory")));
    let unknown = error(&format!("{section}[sandbox]\nmemroy = 1"));
    assert!(unknown.starts_with(&at(4, "sandbox.memroy")) && unknown.contains("memory"), "{unknown}");
    let at_odds = error(&format!("{section}[sandbox]\nmemory = '1MiB'"));
    assert!(at_odds.starts_with(&at(4, "sandbox.memory")), "{at_odds}");
    assert!(error(&format!("{section}[sandbox]\ncpu-time = 0")).starts_with(&at(4, "sandbox.cpu-time")));
    assert!(error(&format!("{section}bucket = 'c'")).starts_with("/etc/app/sandbucket.toml:3: "));
    assert!(error("[store.blob]\nx = 1").contains("[store.blob.s3]"));
    assert!(error("= 1").starts_with("/etc/app/sandbucket.toml:1: "));
}

#[tokio::test]
async fn error_about_a_rejected_setting_names_its_line() {
    let engine = Engine::new(Limits::default()).unwrap();
    let refused = async |text: &str, variables: &[(&str, &str)]| {
        let config = read(&format!("[store.blob.s3]\n{text}"), variables).unwrap();
        config.open(&engine).await.unwrap_err()
    };
    for (text, place, words) in [
        ("bucket = 'demo'\ntimeout = 'soon'", ":3: store.blob.s3.timeout: ", "30s"),
        ("buckt = 'b'", ":2: store.blob.s3.buckt: ", "bucket"),
        // The name that the file uses.
        (
            "bucket = 'demo'\naccess-key = 'a'\nsecret-key = 's'\nsession-token = 'hushé'",
            ":5: store.blob.s3.session-token: ",
            "ASCII",
        ),
        // Values that the host rejects.
        ("bucket = 'demo'\nca-file = '/no/such.pem'", ":3: store.blob.s3.ca-file: ", "/no/such.pem"),
        // A missing setting has no line.
        ("region = 'r'", ": store.blob.s3.bucket: ", "missing"),
        ("bucket = 'demo'\nsecret-key = 'hush'", ": store.blob.s3.access-key: ", "secret-key"),
    ] {
        let error = refused(text, &[]).await.to_string();
        assert!(error.starts_with(&format!("/etc/app/sandbucket.toml{place}")), "{error}");
        assert!(error.contains(words) && !error.contains("hush"), "{error}");
    }
    // A setting from elsewhere has no place in the file.
    let found = [("AWS_ACCESS_KEY_ID", "a/b"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    assert!(matches!(refused("bucket = 'demo'", &found).await, Error::InvalidSettings(_)));
}

#[test]
fn errors_contain_no_secret() {
    let text = "[store.blob.s3]\nsecret-key = 'hush'\naccess-key = 'hush2'\nbucket = ['hush3']\n";
    let words = error(text);
    assert!(!words.contains("hush"), "{words}");
    for key in ["allow-private", "allow-invalid-certs"] {
        let text = format!("[store.blob.s3]\n{key} = '%{{env:SECRET}}%'");
        let misplaced = read(&text, &[("SECRET", "hush")]).unwrap_err().to_string();
        assert!(!misplaced.contains("hush"), "{misplaced}");
    }
    let broken = error("[store.blob.s3]\nsecret-key = 'hush\nbucket = 1");
    assert!(!broken.contains("hush"), "{broken}");
}

#[test]
fn file_is_loaded_and_missing_file_error_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbucket.toml");
    fs::write(&path, "[store.blob.s3]\nbucket = 'b'\naccess-key = 'k'\nsecret-key = 's'\nregion = 'r'").unwrap();
    assert_eq!(Config::load(&path).unwrap().settings().len(), 4);
    let missing = Config::load(folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("none.toml"), "{missing}");
}

#[test]
fn deep_nesting_is_an_error_without_stack_overflow() {
    const DEPTH: usize = 100_000;
    let section = "[store.blob.s3]\nbucket = 'b'\n";
    for text in [
        format!("x = {}", "[".repeat(DEPTH)),
        format!("x = {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("x = {}", "{a=".repeat(DEPTH)),
        format!("x = {}1{}", "{a=".repeat(DEPTH), "}".repeat(DEPTH)),
        "[".repeat(DEPTH),
        format!("{}a{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("[{}a]", "a.".repeat(DEPTH)),
        format!("[[{}a]]", "a.".repeat(DEPTH)),
        format!("{}a = 1", "a.".repeat(DEPTH)),
        format!("x = {{{}a = 1}}", "a.".repeat(DEPTH)),
    ] {
        for text in [text.clone(), format!("{section}{text}"), format!("{section}[sandbox]\n{text}")] {
            assert!(read(&text, &[]).is_err(), "{}", &text[..40]);
        }
    }
}

#[test]
fn size_and_number_of_keys_are_bounded() {
    let section = "[store.blob.s3]\nbucket = 'b'\n";
    let keys = |count: usize| (0..count).map(|n| format!("k{n} = 1\n")).collect::<String>();
    assert_eq!(read(&format!("{section}{}", keys(255)), &[]).unwrap().settings().len(), 256);
    let many = error(&format!("{section}{}", keys(256)));
    assert!(many.contains("store.blob.s3: 257 keys where 256 are allowed"), "{many}");
    assert!(error(&format!("{section}{}", keys(60_000))).contains("256 are allowed"));
    assert!(error(&format!("{section}[sandbox]\n{}", keys(257))).contains("sandbox: 257 keys"));
    // Other sections of the file are not limited.
    assert!(read(&format!("{section}[other]\n{}", keys(257)), &[]).is_ok());
    let filler = "#".repeat(1 << 20);
    assert!(error(&format!("{section}{filler}")).contains("longer than 1048576 bytes"));
    let long = "x".repeat(1 << 17);
    let error = error(&format!("[store.blob.s3]\n{long} = 1.5"));
    assert!(error.len() < 1000, "{}", error.len());
    let value = read(&format!("[store.blob.s3]\nbucket = '{long}'"), &[]).unwrap_err().to_string();
    assert!(value.contains(":2: store.blob.s3.bucket: the value is longer than 65536 bytes"), "{value}");
}

#[test]
fn value_of_the_wrong_kind_is_not_shown() {
    for text in [
        "store = 'hush'",
        "store.blob = 'hush'",
        "store.blob.s3 = ['hush']",
        "[[store.blob.s3]]\nsecret-key = 'hush'",
        "sandbox = 'hush'\n[store.blob.s3]\nbucket = 'b'",
        "[store.blob.s3]\nallow-private = 'hush'",
        "[store.blob.s3]\nbucket = {a = 'hush'}",
        "[store.blob.s3]\nprofile = 'p'\nsecret-key = \"hu\\sh\"",
    ] {
        let error = error(text);
        assert!(error.starts_with("/etc/app/sandbucket.toml:") && !error.contains("hush"), "{error}");
    }
    assert!(error("[store.blob.s3]\nx = 99999999999999999999999").contains("store.blob.s3.x"));
}

#[test]
fn ca_bundle_applies_unless_the_section_names_a_file() {
    let variables = [("AWS_CA_BUNDLE", "~/a.pem"), ("HOME", "/home/u")];
    let ca_file = |text: &str| read(text, &variables).unwrap().tls().ca_file.clone().unwrap();
    assert_eq!(ca_file("[store.blob.s3]\nbucket = 'b'"), Path::new("/home/u/a.pem"));
    assert_eq!(ca_file("[store.blob.s3]\nbucket = 'b'\nca-file = 'mine.pem'"), Path::new("/etc/app/mine.pem"));
}

#[tokio::test]
async fn error_about_a_setting_from_a_variable_names_the_variable() {
    let engine = Engine::new(Limits::default()).unwrap();
    for (variable, value) in
        [("AWS_ENDPOINT_URL_S3", "ftp://x"), ("AWS_ENDPOINT_URL", "http://a/b?c"), ("AWS_CA_BUNDLE", "/no/such.pem")]
    {
        let text = "[store.blob.s3]\nbucket = 'demo'\nregion = 'r'\naccess-key = 'a'\nsecret-key = 's'";
        let error = read(text, &[(variable, value)]).unwrap().open(&engine).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{variable}: ")), "{error}");
    }
}
