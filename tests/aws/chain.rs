//! AWS's own credential chain, against local stand-ins for the metadata service of EC2, the endpoint of ECS, and STS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use http::Method;
use sandbucket::{Config, Store, StoreOptions, Tenants, TenantsConfig, credentials};
use sandbucket_tests::child::{in_child, is_child};
use sandbucket_tests::python::Moto;
use sandbucket_tests::tokens::{Server, TokenService, response, token};
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, engine, run};

/// Variables that keep the machine's own configuration out.
const NOTHING: [(&str, &str); 4] = [
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ("AWS_REGION", "us-east-1"),
    ("NO_PROXY", "*"),
];

/// The token that the stand-ins give is that of the service, which the child rotates by this path.
const ROTATE: &str = "/rotate";

/// Of the name of the session in `sso_session_gives_role_credentials`.
const SHA1_OF_OFFICE: &str = "e6427457497fe0f4f93a7334d2203b8e17ee82df";

/// Runs a test again in a child process with further variables.
async fn in_child_with(test: &'static str, variables: Vec<(&'static str, String)>) {
    let ran = tokio::task::spawn_blocking(move || {
        let further = variables.iter().map(|(name, value)| (*name, value.as_str()));
        // The last value of a variable applies.
        is_child(test, None, &NOTHING.into_iter().chain(further).collect::<Vec<_>>())
    });
    assert!(!ran.await.expect("the child ends"));
}

/// The JSON of temporary credentials, as EC2 and ECS give them.
fn document(n: usize) -> String {
    format!(
        r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": "{ACCESS_KEY}",
            "SecretAccessKey": "{SECRET_KEY}", "Token": "{}", "Expiration": "2099-01-01T00:00:00Z"}}"#,
        token(n)
    )
}

fn config(endpoint: &str, further: &str) -> Config {
    let text =
        format!("[store.blob.s3]\nbucket = '{BUCKET}'\nendpoint = '{endpoint}'\nregion = 'us-east-1'\n{further}");
    Config::parse(&text).expect("a configuration")
}

async fn uses(store: &Store) {
    store.put("key", "body").await.expect("a put");
    assert_eq!(store.get("key").await.expect("a get").bytes().await.expect("the body"), "body");
}

/// Calls before and after a rotation, in the child.
async fn uses_rotated_tokens() {
    let endpoint = std::env::var("S3").expect("the service");
    let store = config(&endpoint, "credentials = 'aws'\n").open(engine()).await.expect("the store opens");
    uses(&store).await;
    let rotated = sandbucket_tests::plain::fetch("POST", &std::env::var("ROTATE").expect("a URL"), &[], "").await;
    assert_eq!(rotated.expect("a response").status, 200);
    // The token is not due: the service rejects it.
    uses(&store).await;
    let settings = [("bucket", BUCKET), ("region", "us-east-1"), ("endpoint", &endpoint)];
    let options = StoreOptions::new().settings(settings).allow_private().credentials_provider(credentials::aws());
    uses(&engine().open(options).await.expect("the store opens")).await;
}

#[test]
fn instance_metadata_gives_credentials_by_version_2() {
    if in_child() {
        return run(uses_rotated_tokens());
    }
    run(async {
        let service = Arc::new(TokenService::start().await);
        let (queries, unauthorized) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (of_server, counters) = (service.clone(), (queries.clone(), unauthorized.clone()));
        let metadata = Server::start(move |request| {
            let (service, (queries, unauthorized)) = (of_server.clone(), counters.clone());
            async move {
                let path = request.uri().path();
                if path == ROTATE {
                    service.rotate();
                    return response(200, "");
                }
                if request.method() == Method::PUT && path == "/latest/api/token" {
                    let mut token = response(200, "metadata-token");
                    token.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", "21600".parse().unwrap());
                    return token;
                }
                if request.headers().get("x-aws-ec2-metadata-token").is_none_or(|token| token != "metadata-token") {
                    unauthorized.fetch_add(1, SeqCst);
                    return response(401, "");
                }
                match path {
                    "/latest/meta-data/iam/security-credentials/" => response(200, "photos-role"),
                    "/latest/meta-data/iam/security-credentials/photos-role" => {
                        queries.fetch_add(1, SeqCst);
                        response(200, document(service.valid()))
                    }
                    _ => response(404, ""),
                }
            }
        })
        .await;
        let variables = vec![
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint.clone()),
            ("S3", service.endpoint.clone()),
            ("ROTATE", format!("{}{ROTATE}", metadata.endpoint)),
        ];
        in_child_with("instance_metadata_gives_credentials_by_version_2", variables).await;
        assert_eq!((service.valid(), unauthorized.load(SeqCst)), (1, 0));
        assert!(service.rejected() >= 1);
        // Two of the configured store, and one of the other: its chain has no region, and is another.
        assert_eq!(queries.load(SeqCst), 3);
    });
}

#[test]
fn container_endpoint_gives_credentials() {
    if in_child() {
        return run(uses_rotated_tokens());
    }
    run(async {
        let service = Arc::new(TokenService::start().await);
        let of_server = service.clone();
        let endpoint = Server::start(move |request| {
            let service = of_server.clone();
            async move {
                let is_authorized = request.headers().get("authorization").is_some_and(|token| token == "of-the-task");
                match request.uri().path() {
                    ROTATE => {
                        service.rotate();
                        response(200, "")
                    }
                    "/v2/credentials" if is_authorized => response(200, document(service.valid())),
                    _ => response(403, ""),
                }
            }
        })
        .await;
        let variables = vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v2/credentials", endpoint.endpoint)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-task".to_owned()),
            ("S3", service.endpoint.clone()),
            ("ROTATE", format!("{}{ROTATE}", endpoint.endpoint)),
        ];
        in_child_with("container_endpoint_gives_credentials", variables).await;
        assert_eq!(service.valid(), 1);
        assert!(service.rejected() >= 1);
    });
}

/// The text of a config file with the keys of moto's user, and a role that they may assume.
fn profiles(moto: &Moto, folder: &Path) -> String {
    let file = folder.join("config");
    let text = format!(
        "[profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\n\
         [profile archive]\nrole_arn = {ROLE}\nsource_profile = base\nrole_session_name = tests\n",
        moto.access_key, moto.secret_key
    );
    std::fs::write(&file, text).expect("a file");
    file.to_str().expect("a path").to_owned()
}

/// The role that `tests/interop/server.py` makes.
const ROLE: &str = "arn:aws:iam::123456789012:role/archive";

#[test]
fn profile_assumes_a_role() {
    if in_child() {
        return run(async {
            let endpoint = std::env::var("S3").expect("the service");
            let further = "credentials = 'aws'\nprofile = 'archive'\n";
            let store = config(&endpoint, further).open(engine()).await.expect("the store opens");
            uses(&store).await;
            // The host's own reading of profiles has no roles, and says what has.
            let without = format!("[store.blob.s3]\nbucket = '{BUCKET}'\nprofile = 'archive'\n");
            let error = Config::parse(&without).expect_err("a role").to_string();
            assert!(error.contains("role_arn") && error.contains("credentials = \"aws\""), "{error}");
        });
    }
    run(async {
        let moto = Moto::start(BUCKET).await.expect("moto");
        let folder = tempfile::tempdir().expect("a folder");
        let variables = vec![
            ("AWS_CONFIG_FILE", profiles(&moto, folder.path())),
            ("AWS_ENDPOINT_URL_STS", moto.endpoint.clone()),
            ("S3", moto.endpoint.clone()),
        ];
        in_child_with("profile_assumes_a_role", variables).await;
    });
}

#[test]
fn profiles_of_tenants_take_nothing_from_variables() {
    if in_child() {
        return run(async {
            let tenant = |name: &str, profile: &str| {
                format!(
                    "[tenants.{name}.store.blob.s3]\nbucket = '{BUCKET}'\nallow-private = true\n\
                     credentials = 'aws'\nprofile = '{profile}'\n"
                )
            };
            let text = [tenant("a", "base"), tenant("b", "archive"), tenant("c", "region-only")].concat();
            let tenants = Tenants::new(engine().clone());
            let config = TenantsConfig::parse(&text).expect("a configuration");
            let changes = tenants.apply(&config).await.expect("the tenants");
            // It has no credentials, and the process's are not its own.
            assert_eq!(changes.unready.keys().collect::<Vec<_>>(), ["c"], "{changes:?}");
            for name in ["a", "b"] {
                let store = tenants.get(name).expect("the tenant").store().await;
                uses(&store.expect("the store opens")).await;
            }
            // A program may give its tenants profiles as well.
            let base = credentials::CredentialsProvider::credentials(&credentials::aws_profile("base")).await;
            let own = credentials::Credentials::new(std::env::var("KEY").unwrap(), std::env::var("SECRET").unwrap());
            assert!(base.expect("the profile's") == own);
            // What a failed query has read is read again.
            let file = std::env::var("AWS_CONFIG_FILE").expect("the file");
            let text = std::fs::read_to_string(&file).expect("the profiles");
            let keys = "[profile region-only]\naws_access_key_id = AK\naws_secret_access_key = hush\n";
            std::fs::write(&file, text.replace("[profile region-only]\n", keys)).expect("a file");
            let tenant = tenants.get("c").expect("the tenant");
            // For a moment after a failure, the provider is not queried again.
            while let Err(refused) = tenant.store().await {
                assert!(refused.is_retryable(), "{refused}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    run(async {
        let moto = Moto::start(BUCKET).await.expect("moto");
        let folder = tempfile::tempdir().expect("a folder");
        let file = profiles(&moto, folder.path());
        let text = std::fs::read_to_string(&file).expect("the profiles");
        let place = format!("]\nregion = us-east-1\nendpoint_url = {}\n", moto.endpoint);
        let text = format!("{text}[profile region-only]\n").replace("]\n", &place);
        std::fs::write(&file, text).expect("a file");
        let variables = vec![
            ("AWS_CONFIG_FILE", file),
            ("AWS_ENDPOINT_URL_STS", moto.endpoint.clone()),
            ("KEY", moto.access_key.clone()),
            ("SECRET", moto.secret_key.clone()),
            // The process's own.
            ("AWS_ACCESS_KEY_ID", "PROCESS".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "eu-process-1".to_owned()),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9".to_owned()),
            ("AWS_CA_BUNDLE", "/no/such/bundle.pem".to_owned()),
        ];
        in_child_with("profiles_of_tenants_take_nothing_from_variables", variables).await;
    });
}

#[test]
fn web_identity_assumes_a_role() {
    if in_child() {
        return run(async {
            let endpoint = std::env::var("S3").expect("the service");
            let store = config(&endpoint, "credentials = 'aws'\n").open(engine()).await.expect("the store opens");
            uses(&store).await;
        });
    }
    run(async {
        let moto = Moto::start(BUCKET).await.expect("moto");
        let folder = tempfile::tempdir().expect("a folder");
        let token = folder.path().join("token");
        std::fs::write(&token, "an identity token").expect("a file");
        let variables = vec![
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().expect("a path").to_owned()),
            ("AWS_ROLE_ARN", ROLE.to_owned()),
            ("AWS_ROLE_SESSION_NAME", "tests".to_owned()),
            ("AWS_ENDPOINT_URL_STS", moto.endpoint.clone()),
            ("S3", moto.endpoint.clone()),
        ];
        in_child_with("web_identity_assumes_a_role", variables).await;
    });
}

#[test]
fn sso_session_gives_role_credentials() {
    if in_child() {
        return run(async {
            let endpoint = std::env::var("S3").expect("the service");
            let further = "credentials = 'aws'\nprofile = 'single-sign-on'\n";
            uses(&config(&endpoint, further).open(engine()).await.expect("the store opens")).await;
        });
    }
    run(async {
        let service = Arc::new(TokenService::start().await);
        let queries = Arc::new(AtomicUsize::new(0));
        let (of_server, counter) = (service.clone(), queries.clone());
        // GetRoleCredentials of IAM Identity Center's portal.
        let portal = Server::start(move |request| {
            let (service, queries) = (of_server.clone(), counter.clone());
            async move {
                let is_signed_in =
                    request.headers().get("x-amz-sso_bearer_token").is_some_and(|token| token == "signed-in");
                let asked = request.uri().query().unwrap_or_default();
                let is_role = asked.contains("role_name=photos") && asked.contains("account_id=123456789012");
                if request.uri().path() != "/federation/credentials" || !is_signed_in || !is_role {
                    return response(403, "");
                }
                queries.fetch_add(1, SeqCst);
                let credentials = serde_json::json!({"roleCredentials": {
                    "accessKeyId": ACCESS_KEY,
                    "secretAccessKey": SECRET_KEY,
                    "sessionToken": token(service.valid()),
                    "expiration": 4_070_908_800_000_u64,
                }});
                response(200, credentials.to_string())
            }
        })
        .await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        let profile = "[profile single-sign-on]\nsso_session = office\nsso_account_id = 123456789012\nsso_role_name = photos\n\
                       [sso-session office]\nsso_region = us-east-1\nsso_start_url = https://office.example/start\n";
        std::fs::write(&file, profile).expect("a file");
        // Where `aws sso login` leaves its token: the name is the SHA-1 of the session's.
        let cache = folder.path().join(".aws/sso/cache");
        std::fs::create_dir_all(&cache).expect("a folder");
        let signed_in = r#"{"accessToken": "signed-in", "expiresAt": "2099-01-01T00:00:00Z", "region": "us-east-1"}"#;
        std::fs::write(cache.join(format!("{SHA1_OF_OFFICE}.json")), signed_in).expect("a file");
        let variables = vec![
            ("HOME", folder.path().to_str().expect("a path").to_owned()),
            ("AWS_CONFIG_FILE", file.to_str().expect("a path").to_owned()),
            ("AWS_ENDPOINT_URL_SSO", portal.endpoint.clone()),
            ("S3", service.endpoint.clone()),
        ];
        in_child_with("sso_session_gives_role_credentials", variables).await;
        assert_eq!(queries.load(SeqCst), 1);
    });
}

#[test]
fn chain_without_credentials_is_an_error_with_the_reason() {
    if in_child() {
        return run(async {
            let opened = config("http://127.0.0.1:9", "credentials = 'aws'\n").open(engine()).await;
            let error = opened.expect_err("there are none");
            assert!(matches!(error, sandbucket::Error::AccessDenied(_)) && error.is_retryable(), "{error:?}");
            let error = error.to_string();
            assert!(error.contains("no credentials found in chain") && !error.contains("\\n"), "{error}");
        });
    }
    run(async {
        let variables = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned())];
        in_child_with("chain_without_credentials_is_an_error_with_the_reason", variables).await;
    });
}
