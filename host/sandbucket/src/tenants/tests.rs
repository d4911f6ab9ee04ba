//! Tests of the configuration; the registry's own are in tests/tenants.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde::Deserialize;

use super::{TenantOptions, Tenants, TenantsConfig};
use crate::config::Reader;
use crate::credentials::{Credentials, CredentialsProvider as _, SharedProvider};
use crate::engine::Engine;
use crate::error::Result;
use crate::limits::{Budget, Limits};
use crate::store_options::StoreOptions;
use crate::support::environment::Environment;

const STORE: &str = "bucket = 'b'\naccess-key = 'k'\nsecret-key = 'hush'\n";

fn error(text: &str) -> String {
    TenantsConfig::parse(text).unwrap_err().to_string()
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Gateway {
    #[serde(default)]
    keys: Vec<Key>,
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Key {
    access_key: String,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    prefixes: Vec<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Access {
    ReadOnly,
    #[default]
    ReadWrite,
}

#[test]
fn file_with_tenants_is_parsed_and_other_tables_are_ignored() {
    let text = format!(
        "[serve]\nlisten = 1\n[tenants.\"b.c\".store.blob.s3]\n{STORE}[tenants.a]\nweight = 3\n\
         [tenants.a.store.blob.s3]\n{STORE}[tenants.a.budget]\ncalls-per-second = 5\n[sandbox]\nmemory = '64MiB'\n"
    );
    let config = TenantsConfig::parse(&text).unwrap();
    assert_eq!(config.names().collect::<Vec<_>>(), ["a", "b.c"]);
    let a = config.tenants["a"].options().unwrap();
    assert_eq!((a.weight, a.budget), (3, Budget::default().with_calls_per_second(5)));
    assert_eq!(
        a.store.settings.iter().find(|(name, _)| name == "bucket").map(|(_, bucket)| bucket.as_str()),
        Some("b")
    );
    let other = config.tenants["b.c"].options().unwrap();
    assert_eq!((other.weight, other.budget), (1, Budget::default()));
    assert!(!format!("{config:?} {a:?}", a = config.tenants["a"].options().unwrap()).contains("hush"));
    assert_eq!(TenantsConfig::parse("[serve]\n").unwrap().names().count(), 0);
}

#[test]
fn errors_have_line_and_key() {
    let cases = [
        ("[tenants]\nAlice = 1\n".to_owned(), "configuration:2: tenants.Alice: a tenant's name has 1 to 63"),
        (
            "[tenants]\nalice = 1\n".to_owned(),
            "configuration:2: tenants.alice: expected the section [tenants.alice], not a number",
        ),
        ("tenants = 'x'\n".to_owned(), "configuration:1: tenants: expected the section [tenants], not text"),
        (
            "[tenants.a]\nweight = 1\n".to_owned(),
            "configuration:1: tenants.a: there is no section [tenants.a.store.blob.s3]",
        ),
        (
            format!("[tenants.a]\nweight = 0\n[tenants.a.store.blob.s3]\n{STORE}"),
            "configuration:2: tenants.a.weight: expected a number from 1 to 1000",
        ),
        (
            format!("[tenants.a]\nwieght = 1\n[tenants.a.store.blob.s3]\n{STORE}"),
            "configuration:2: tenants.a.wieght: unknown key; expected `weight`, `plugin`, or a section",
        ),
        (
            format!("[tenants.a.store.blob.s3]\n{STORE}[tenants.a.budget]\nqueue-length = 'long'\n"),
            "configuration:6: tenants.a.budget.queue-length: ",
        ),
        (
            format!("[tenants.a.store.blob.s3]\n{STORE}[tenants.a.budget]\ncalls-in-flight = 0\n"),
            "configuration:6: tenants.a.budget.calls-in-flight: the budget `calls-in-flight` must be above 0",
        ),
        (
            "[tenants.a.store.blob.s3]\nbucket = []\n".to_owned(),
            "configuration:2: tenants.a.store.blob.s3.bucket: expected text, a number, true or false, not a list",
        ),
        (
            "[tenants.\"a.b\".store.blob.s3]\nsecret-key = '%{env:SANDBUCKET_NO_SUCH}%'\n".to_owned(),
            "configuration:2: tenants.\"a.b\".store.blob.s3.secret-key: ",
        ),
    ];
    for (text, expected) in cases {
        let error = error(&text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn directory_has_one_file_per_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let own = format!(
        "weight = 2\n[store.blob.s3]\n{STORE}ca-file = 'ca.pem'\n[budget]\nqueue-length = 7\n[gateway]\nlimit = 3\n"
    );
    write("alice.toml", &own);
    write("bob.toml", &format!("[store.blob.s3]\n{STORE}"));
    write(".hidden.toml", "no toml");
    write("README", "no toml");
    let config = TenantsConfig::load(folder.path()).unwrap();
    assert_eq!(config.names().collect::<Vec<_>>(), ["alice", "bob"]);
    let alice = config.tenants["alice"].options().unwrap();
    assert_eq!((alice.weight, alice.budget.queue_length), (2, 7));
    assert_eq!(alice.store.tls.ca_file, Some(folder.path().join("ca.pem")));
    assert_eq!(config.section::<Gateway>("alice", "gateway").unwrap().unwrap().limit, Some(3));
    assert_eq!(config.section::<Gateway>("bob", "gateway").unwrap(), None);

    let path = folder.path().display();
    let error = |name: &str, text: &str| {
        write(name, text);
        let error = TenantsConfig::load(folder.path()).unwrap_err().to_string();
        fs::remove_file(folder.path().join(name)).unwrap();
        error
    };
    assert!(
        error("Carol.toml", &own).starts_with(&format!("{path}/Carol.toml: a tenant's name")),
        "{}",
        error("Carol.toml", &own)
    );
    let wrong = error("carol.toml", "\n[store.blob.s3]\nbucket = 1.5\n");
    assert!(wrong.starts_with(&format!("{path}/carol.toml:3: store.blob.s3.bucket: expected text")), "{wrong}");
    let empty = error("carol.toml", "");
    assert_eq!(empty, format!("{path}/carol.toml: there is no section [store.blob.s3]"));
    fs::create_dir(folder.path().join("dave.toml")).unwrap();
    let wrong = TenantsConfig::load(folder.path()).unwrap_err().to_string();
    assert!(wrong.contains("dave.toml") && wrong.contains("a folder"), "{wrong}");
}

fn with_gateway(gateway: &str) -> TenantsConfig {
    TenantsConfig::parse(&format!("[tenants.a.store.blob.s3]\n{STORE}{gateway}")).unwrap()
}

fn gateway(text: &str) -> Result<Option<Gateway>> {
    with_gateway(text).section("a", "gateway")
}

#[test]
fn section_of_the_program_is_deserialized_and_interpolated() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "from a file\n").unwrap();
    let text = format!(
        "[[tenants.a.gateway.keys]]\naccess-key = '%{{file:{}}}%'\naccess = 'read-only'\nprefixes = ['p/', 'q/']\n\
         [[tenants.a.gateway.keys]]\naccess-key = 'plain'\n",
        secret.path().display()
    );
    let read = gateway(&text).unwrap().unwrap();
    let prefixes = vec!["p/".to_owned(), "q/".to_owned()];
    let first = Key { access_key: "from a file".to_owned(), access: Access::ReadOnly, prefixes };
    let second = Key { access_key: "plain".to_owned(), access: Access::ReadWrite, prefixes: Vec::new() };
    assert_eq!(read, Gateway { keys: vec![first, second], limit: None });
    assert_eq!(with_gateway("").section::<Gateway>("a", "gateway").unwrap(), None);
    assert_eq!(with_gateway("").section::<Gateway>("b", "gateway").unwrap(), None);
}

#[test]
fn error_in_a_section_of_the_program_has_line_and_key_and_no_value() {
    for (text, expected) in [
        ("limit = 'hush'\n", "configuration:6: tenants.a.gateway.limit: expected u32, not text"),
        ("limit = -1\n", "configuration:6: tenants.a.gateway.limit: expected u32, not this number"),
        ("\nlimits = 1\n", "configuration:7: tenants.a.gateway: unknown field `limits`, expected `keys` or `limit`"),
        (
            "keys = [{ access-key = 'k', access = 'hush' }]\n",
            "configuration:6: tenants.a.gateway.keys.access: expected \"read-only\" or \"read-write\"",
        ),
        ("keys = [{}]\n", "configuration:6: tenants.a.gateway.keys: missing field `access-key`"),
        (
            "keys = [{ access-key = '%{env:SANDBUCKET_NO_SUCH}%' }]\n",
            "configuration:6: tenants.a.gateway.keys.access-key: ",
        ),
    ] {
        let error = gateway(&format!("[tenants.a.gateway]\n{text}")).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn misspelled_section_is_found() {
    let config = with_gateway("[tenants.a.gatewya]\n");
    assert!(config.check_sections(&["gatewya"]).is_ok());
    let error = config.check_sections(&["gateway"]).unwrap_err().to_string();
    assert_eq!(error, "configuration:5: tenants.a.gatewya: unknown section; expected `store`, `budget`, `gateway`");
}

#[test]
fn ten_thousand_tenants_in_one_file_are_parsed() {
    let text: String = (0..10_000).map(|n| format!("[tenants.t{n}.store.blob.s3]\n{STORE}region = 'r{n}'\n")).collect();
    let config = TenantsConfig::parse(&text).unwrap();
    assert_eq!(config.names().count(), 10_000);
    let wrong = format!("{text}[tenants.t10000.store.blob.s3]\nbucket = 1.5\n");
    assert!(error(&wrong).starts_with("configuration:50002: tenants.t10000.store.blob.s3.bucket"));
}

/// Variables of a process that has everything that a tenant must not take by itself.
const VARIABLES: [(&str, &str); 7] = [
    ("AWS_ACCESS_KEY_ID", "PROCESS"),
    ("AWS_SECRET_ACCESS_KEY", "hush"),
    ("AWS_REGION", "process-region"),
    ("AWS_ENDPOINT_URL_S3", "http://process:1"),
    ("AWS_ENDPOINT_URL", "http://process:2"),
    ("AWS_CA_BUNDLE", "/process.pem"),
    ("AWS_PROFILE", "process"),
];

/// Shared files with a default profile, that of the process, and one that a tenant may name.
fn home() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".aws")).unwrap();
    let profile = |name: &str, key: &str| {
        format!(
            "[{name}]\naws_access_key_id={key}\naws_secret_access_key=hush\nregion={key}-region\n\
             endpoint_url=http://{key}\nca_bundle=/{key}.pem\n"
        )
    };
    let all = [profile("default", "DEFAULT"), profile("process", "OTHER"), profile("named", "NAMED")].concat();
    fs::write(folder.path().join(".aws/credentials"), all).unwrap();
    folder
}

fn parse(text: &str, home: &Path, variables: &[(&str, &str)]) -> Result<TenantsConfig> {
    let mut all = vec![("HOME", home.to_str().unwrap())];
    all.extend(variables);
    TenantsConfig::file(&Reader::new(Some(Path::new("/etc/t.toml")), text, &Environment::of(&all)))
}

/// What the tenant `a` with these keys has: its settings without the secret, and the certificate authorities.
fn completed(keys: &str, variables: &[(&str, &str)]) -> Result<String> {
    let text = format!("\n[tenants.a.store.blob.s3]\nbucket = 'b'\n{keys}");
    let options = parse(&text, home().path(), variables)?.tenants["a"].options()?;
    let mut all: Vec<_> = options.store.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    all.extend(options.store.tls.ca_file.map(|file| format!("ca-file={}", file.display())));
    all.retain(|pair| !pair.starts_with("secret-key"));
    all.sort();
    Ok(all.join(" "))
}

#[test]
fn tenant_takes_from_the_process_only_what_it_names() {
    let of = |keys: &str| completed(keys, &VARIABLES).unwrap();
    assert_eq!(of("access-key = 'OWN'\nsecret-key = 's'\n"), "access-key=OWN bucket=b");
    assert_eq!(of("credentials = 'anonymous'\n"), "bucket=b");
    let named = "access-key=NAMED bucket=b ca-file=/NAMED.pem endpoint=http://NAMED region=NAMED-region";
    assert_eq!(of("profile = 'named'\n"), named);
    let own = "access-key=OWN bucket=b ca-file=/NAMED.pem endpoint=http://NAMED region=NAMED-region";
    assert_eq!(of("profile = 'named'\naccess-key = 'OWN'\nsecret-key = 's'\n"), own);
    let all = "access-key=PROCESS bucket=b ca-file=/process.pem endpoint=http://process:1 region=process-region";
    assert_eq!(of("credentials = 'environment'\n"), all);
    let default = "access-key=DEFAULT bucket=b ca-file=/DEFAULT.pem endpoint=http://DEFAULT region=DEFAULT-region";
    assert_eq!(completed("credentials = 'environment'\n", &[]).unwrap(), default);
}

#[test]
fn tenant_without_keys_that_names_no_source_is_an_error_with_the_fix() {
    for variables in [&VARIABLES[..], &[]] {
        for keys in ["", "access-key = ''\nprofile = ' '\n", "region = 'r'\n"] {
            let error = completed(keys, variables).unwrap_err().to_string();
            assert!(error.starts_with("/etc/t.toml:2: tenants.a.store.blob.s3: there are no keys"), "{error}");
            for fix in ["`access-key`", "`profile`", "\"environment\"", "\"aws\"", "\"anonymous\""] {
                assert!(error.contains(fix), "{error}");
            }
            assert!(!error.contains("hush"), "{error}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "weight = 1\n\n[store.blob.s3]\nbucket = 'b'\n").unwrap();
    let error = TenantsConfig::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("a.toml:3: store.blob.s3: there are no keys"), "{error}");

    let cases = [
        ("credentials = 'environment'\nprofile = 'named'\n", "also has `profile`"),
        ("credentials = 'environment'\naccess-key = 'k'\n", "also has `access-key`"),
        ("credentials = 'anonymous'\nsecret-key = 'hush'\n", "also has `secret-key`"),
        ("credentials = 'all'\n", "expected \"aws\", \"environment\" or \"anonymous\""),
    ];
    for (keys, expected) in cases {
        let error = completed(keys, &VARIABLES).unwrap_err().to_string();
        assert!(error.starts_with("/etc/t.toml:4: tenants.a.store.blob.s3.credentials: "), "{error}");
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
    let nowhere = parse(
        "[tenants.a.store.blob.s3]\nbucket = 'b'\ncredentials = 'environment'\n",
        Path::new("/no/such/home"),
        &[],
    );
    let error = nowhere.unwrap_err().to_string();
    assert!(error.starts_with("/etc/t.toml:3: tenants.a.store.blob.s3.credentials: there are no cred"), "{error}");
}

#[test]
fn incomplete_environment_of_a_tenant_is_an_error_at_its_line_with_the_fix() {
    let malformed = tempfile::tempdir().unwrap();
    fs::create_dir(malformed.path().join(".aws")).unwrap();
    fs::write(malformed.path().join(".aws/credentials"), "aws_access_key_id = hush\n").unwrap();
    let half = tempfile::tempdir().unwrap();
    fs::create_dir(half.path().join(".aws")).unwrap();
    fs::write(half.path().join(".aws/credentials"), "[default]\naws_secret_access_key = hush\n").unwrap();
    let complete = home();
    for (home, variables, expected) in [
        (complete.path(), &[("AWS_ACCESS_KEY_ID", "AK")][..], "AWS_SECRET_ACCESS_KEY is not"),
        (complete.path(), &[("AWS_PROFILE", "absent")][..], "AWS_PROFILE: there is no profile \"absent\""),
        (malformed.path(), &[][..], "credentials:1: this is before the first"),
        (half.path(), &[][..], "no aws_access_key_id"),
    ] {
        let text = "[tenants.a.store.blob.s3]\nbucket = 'b'\ncredentials = 'environment'\n";
        let error = parse(text, home, variables).err().unwrap().to_string();
        assert!(error.starts_with("/etc/t.toml:3: tenants.a.store.blob.s3.credentials: "), "{error}");
        assert!(error.contains(expected) && error.contains("\"anonymous\""), "{error}");
        // That would be the end of the credentials of other tenants.
        assert!(!error.contains("hush") && !error.contains("/dev/null"), "{error}");
    }
}

#[tokio::test]
async fn tenant_whose_credentials_cannot_be_had_is_unready_and_others_are_served() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let keys = home.path().join("keys");
    let config = format!("[profile program]\ncredential_process = cat {}\n", keys.display());
    fs::write(home.path().join(".aws/config"), config).unwrap();
    let text = |retries: &str| {
        format!(
            "[tenants.a.store.blob.s3]\nbucket = 'demo'\naccess-key = 'k'\nsecret-key = 's'\n\
             [tenants.b.store.blob.s3]\nbucket = 'demo'\nprofile = 'program'\nmax-retries = {retries}\n"
        )
    };
    let tenants = Tenants::new(Engine::new(Limits::default()).unwrap());
    // The program does not run while the configuration is read.
    let changes = tenants.apply(&parse(&text("1"), home.path(), &[]).unwrap()).await.unwrap();
    assert_eq!(changes.added, ["a", "b"]);
    assert_eq!(changes.unready.keys().collect::<Vec<_>>(), ["b"]);
    assert!(changes.unready["b"].contains("credential_process"), "{changes:?}");
    let (a, b) = (tenants.get("a").unwrap(), tenants.get("b").unwrap());
    assert_eq!((a.status().unready, b.status().unready.as_ref()), (None, changes.unready.get("b")));
    a.store().await.unwrap();
    let refused = b.store().await.unwrap_err();
    assert!(refused.is_retryable() && refused.to_string().contains("credential_process"), "{refused}");
    // Its settings are checked all the same, and its plugin can be replaced.
    let wrong = tenants.apply(&parse(&text("'many'"), home.path(), &[]).unwrap()).await.unwrap_err().to_string();
    assert!(wrong.starts_with("/etc/t.toml:8: tenants.b.store.blob.s3.max-retries: "), "{wrong}");
    let plugin = tenants.engine().plugin().clone();
    assert_eq!(tenants.swap(None, &plugin).await.unwrap().swapped, ["a", "b"]);
    assert!(b.status().unready.is_some());

    fs::write(keys, r#"{"Version":1,"AccessKeyId":"AK","SecretAccessKey":"hush"}"#).unwrap();
    // For a moment after a failure, the program is not run again.
    while let Err(refused) = b.store().await {
        assert!(refused.to_string().contains("credential_process"), "{refused}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((b.status().unready, b.status().is_open), (None, true));
}

#[tokio::test]
async fn change_of_an_open_tenant_keeps_its_credentials_while_the_provider_fails() {
    let fails = Arc::new(AtomicBool::new(false));
    let state = fails.clone();
    let provider = SharedProvider::new(move || {
        let fails = state.load(SeqCst);
        async move {
            match fails {
                true => Err(std::io::Error::other("sealed")),
                false => Ok(Credentials::new("key", "hush")),
            }
        }
    });
    let options = |retries: &str| {
        let options = StoreOptions::new().setting("bucket", "demo").setting("max-retries", retries);
        TenantOptions::new(options.credentials_provider(provider.clone()))
    };
    let tenants = Tenants::new(Engine::new(Limits::default()).unwrap());
    tenants.set("a", options("1")).await.unwrap();
    let tenant = tenants.get("a").unwrap();
    tenant.store().await.unwrap();
    fails.store(true, SeqCst);
    provider.credentials().await.unwrap_err();
    tenants.set("a", options("2")).await.unwrap();
    assert_eq!((tenant.status().unready, tenant.status().is_open), (None, true));
    tenant.store().await.unwrap();
}
