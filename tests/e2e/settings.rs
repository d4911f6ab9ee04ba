//! Opening a store: authentication, and settings that are rejected.

use sandbucket::{Error, Failure};
use sandbucket_dev_server::DevServer;
use sandbucket_tests::{ACCESS_KEY, BUCKET, Kind, SECRET_KEY, Service, engine, open, refused, run, settings};

/// The error of opening a store with these further settings.
async fn open_error(further: &[(&str, &str)]) -> Failure {
    let failure = refused!(engine().store(settings("http://127.0.0.1:9", further)).await, InvalidSettings);
    assert_eq!(failure.attempts, 0, "{failure:?}");
    assert!(!failure.retryable, "{failure:?}");
    assert!(!format!("{failure:?}").contains(SECRET_KEY), "the secret shows");
    failure
}

#[test]
fn wrong_secret_is_rejected_with_its_error_code() {
    run(async {
        let server = Service::start().await;
        for wrong in [("secret-key", "wrong"), ("access-key", "nobody")] {
            let store = server.open(&[wrong]).await;
            for error in [store.put("k", "x").await.err(), store.get("k").await.err(), store.delete("k").await.err()] {
                let failure = refused!(Err::<(), _>(error.unwrap()), AccessDenied);
                assert_eq!((failure.attempts, failure.retryable), (1, false), "{failure:?}");
                assert!(failure.message.contains(BUCKET), "{failure:?}");
                assert!(!format!("{failure:?}").contains(SECRET_KEY), "the secret shows");
            }
        }
        let store = server.open(&[]).await;
        refused!(store.head("k").await, NotFound);
    });
}

#[test]
fn requests_without_keys_are_anonymous() {
    run(async {
        let closed = Service::start().await;
        if closed.cannot(Kind::Moto, "it breaks down (500) at a request without a signature") {
            return;
        }
        let anonymous = [("access-key", ""), ("secret-key", " ")];
        refused!(closed.open(&anonymous).await.get("k").await, AccessDenied);

        let open_to_all = DevServer::builder()
            .credentials(ACCESS_KEY, SECRET_KEY)
            .buckets([BUCKET])
            .anonymous(true)
            .start()
            .await
            .unwrap();
        let store = open(&open_to_all.endpoint(), &anonymous).await;
        store.put("k", "free for all").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "free for all");
        refused!(open(&open_to_all.endpoint(), &[("secret-key", "wrong")]).await.get("k").await, AccessDenied);
    });
}

#[test]
fn session_token_is_sent_under_either_name() {
    run(async {
        let server = DevServer::builder()
            .credentials(ACCESS_KEY, SECRET_KEY)
            .session_token("a token/with+odd=marks")
            .buckets([BUCKET])
            .start()
            .await
            .unwrap();
        for name in ["security-token", "session-token"] {
            let store = open(&server.endpoint(), &[(name, "a token/with+odd=marks")]).await;
            store.put("k", "x").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        refused!(open(&server.endpoint(), &[]).await.get("k").await, AccessDenied);
        refused!(open(&server.endpoint(), &[("security-token", "another")]).await.get("k").await, AccessDenied);
    });
}

#[test]
fn signed_and_unsigned_bodies_are_accepted() {
    run(async {
        let server = Service::start().await;
        for signing in ["auto", "signed", "unsigned"] {
            let store = server.open(&[("payload-signing", signing)]).await;
            store.put("k", signing.to_owned()).await.unwrap();
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), signing);
        }
    });
}

#[test]
fn virtual_hosted_style_reaches_the_bucket() {
    run(async {
        let server = Service::start().await;
        let endpoint = server.endpoint().replace("127.0.0.1", "localhost");
        let store = open(&endpoint, &[("addressing-style", "virtual")]).await;
        // Skipped if the system does not resolve names under localhost.
        if tokio::net::lookup_host(format!("{BUCKET}.localhost:80")).await.is_err() {
            return;
        }
        store.put("a//b c", "x").await.unwrap();
        let by_path = open(&endpoint, &[("addressing-style", "path")]).await;
        assert_eq!(by_path.get("a//b c").await.unwrap().bytes().await.unwrap(), "x");
    });
}

#[test]
fn verify_after_write_checks_the_blob() {
    run(async {
        let server = Service::start().await;
        let store = server.open(&[("verify-after-write", "true")]).await;
        store.put("k", "verified").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "verified");
    });
}

#[test]
fn unknown_setting_error_suggests_the_nearest_name() {
    run(async {
        for (wrong, nearest) in [("buckett", "bucket"), ("acces-key", "access-key"), ("max-retry", "max-retries")] {
            let failure = open_error(&[(wrong, "x")]).await;
            assert_eq!(failure.subject.as_deref(), Some(wrong), "{failure:?}");
            assert!(failure.message.contains(nearest), "{failure:?}");
        }
    });
}

#[test]
fn malformed_setting_error_names_the_setting() {
    run(async {
        let cases = [
            ("bucket", "UPPER/slash"),
            ("bucket", "ab"),
            ("bucket", ""),
            ("bucket", "a..b"),
            ("timeout", "soon"),
            ("timeout", "-1s"),
            ("timeout", "0"),
            ("max-retries", "many"),
            ("max-retries", "-1"),
            ("max-retries", "100000"),
            ("verify-after-write", "maybe"),
            ("addressing-style", "sideways"),
            ("payload-signing", "perhaps"),
            ("access-key", "a\r\nb"),
            ("security-token", "a\nb"),
            ("region", "eu central 1"),
            ("region", "a/b"),
        ];
        for (name, value) in cases {
            let failure = open_error(&[(name, value)]).await;
            assert_eq!(failure.subject.as_deref(), Some(name), "{value:?}: {failure:?}");
            assert!(failure.message.contains(name), "{value:?}: {failure:?}");
        }
    });
}

#[test]
fn malformed_endpoint_error_names_the_endpoint() {
    run(async {
        for wrong in [
            "ftp://127.0.0.1",
            "http://",
            "http://user:secret@127.0.0.1",
            "http://127.0.0.1/?a=b",
            "http://127.0.0.1:99999",
            "a b",
        ] {
            let error = engine()
                .store(settings("", &[("endpoint", wrong)]))
                .await
                .err()
                .unwrap_or_else(|| panic!("{wrong:?} opened"));
            match &error {
                Error::InvalidSettings(failure) => {
                    assert_eq!(failure.subject.as_deref(), Some("endpoint"), "{wrong:?}")
                }
                // The host parses it, too, for the egress policy.
                Error::Config { key, .. } => {
                    assert!(key.as_deref().is_some_and(|key| key.contains("endpoint")), "{error:?}")
                }
                other => panic!("{wrong:?}: {other:?}"),
            }
            assert!(!error.to_string().contains("user:secret"), "{error}");
        }
    });
}

#[test]
fn access_key_without_secret_key_is_rejected() {
    run(async {
        assert_eq!(open_error(&[("secret-key", "")]).await.subject.as_deref(), Some("secret-key"));
        assert_eq!(open_error(&[("access-key", "")]).await.subject.as_deref(), Some("access-key"));
    });
}

#[test]
fn duplicate_setting_is_rejected() {
    run(async {
        let mut doubled = settings("http://127.0.0.1:9", &[]);
        doubled.push(("bucket".to_owned(), "another".to_owned()));
        let failure = refused!(engine().store(doubled).await, InvalidSettings);
        assert_eq!(failure.subject.as_deref(), Some("bucket"));
        let failure = open_error(&[("security-token", "a"), ("session-token", "b")]).await;
        assert!(failure.message.contains("token"), "{failure:?}");
    });
}

#[test]
fn profile_is_resolved_by_the_host() {
    run(async {
        let failure = open_error(&[("profile", "work")]).await;
        assert_eq!(failure.subject.as_deref(), Some("profile"), "{failure:?}");
    });
}

#[test]
fn blank_settings_count_as_absent() {
    run(async {
        let server = Service::start().await;
        let blank =
            [("region", ""), ("timeout", "  "), ("security-token", ""), ("key-prefix", ""), ("max-retries", "")];
        let store = server.open(&blank).await;
        store.put("k", "x").await.unwrap();
    });
}

#[test]
fn unreachable_endpoint_is_a_network_error_that_names_it() {
    run(async {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let store = open(&format!("http://{address}"), &[("max-retries", "1")]).await;
        let failure = refused!(store.get("k").await, Network);
        assert!(failure.retryable, "{failure:?}");
        assert!(failure.message.contains(&address.to_string()), "{failure:?}");
    });
}
