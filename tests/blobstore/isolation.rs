//! Guests and tenants that must not reach each other's objects.

use sandbucket_dev_server::DevServer;
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, dev_server, engine, open, run, settings};
use sandbucket_wasi_blobstore::Containers;

use crate::host::Guest;
use crate::{act, fails};

#[test]
fn tenants_see_only_their_own_objects() {
    run(async {
        let server = DevServer::builder()
            .credentials(ACCESS_KEY, SECRET_KEY)
            .buckets([BUCKET, "another"])
            .start()
            .await
            .expect("the embedded server starts");
        let endpoint = server.endpoint();
        let (shared, other) = (open(&endpoint, &[]).await, open(&endpoint, &[("bucket", "another")]).await);
        let mut guests = [
            Guest::new(Containers::prefixes(shared.clone()).root("tenants/a")).await,
            Guest::new(Containers::prefixes(shared.clone()).root("tenants/ab/")).await,
            Guest::new(Containers::prefixes(other)).await,
        ];
        for (n, guest) in guests.iter_mut().enumerate() {
            // Nothing of the others' containers is there.
            assert!(!act!(guest, call_exists, "c").unwrap());
            act!(guest, call_create, "c").unwrap();
            assert_eq!(act!(guest, call_names, "c", 0, 10).unwrap().1, [[""; 0]]);
            act!(guest, call_write, "c", "k", format!("of {n}").as_bytes()).unwrap();
            act!(guest, call_write, "c", &format!("only-{n}"), b"x").unwrap();
        }
        for (n, guest) in guests.iter_mut().enumerate() {
            let read = act!(guest, call_read, "c", "k", 0, u64::MAX).unwrap();
            assert_eq!(read, format!("of {n}").as_bytes());
            assert_eq!(act!(guest, call_names, "c", 0, 10).unwrap().1, [["k".to_owned(), format!("only-{n}")]]);
        }
        let [first, rest @ ..] = &mut guests;
        act!(first, call_clear, "c").unwrap();
        act!(first, call_delete, "c").unwrap();
        for guest in rest {
            assert_eq!(act!(guest, call_names, "c", 0, 10).unwrap().1.concat().len(), 2);
        }
    });
}

#[test]
fn names_do_not_leave_their_prefix() {
    run(async {
        let server = dev_server().await;
        let store = open(&server.endpoint(), &[]).await;
        store.put("secret", "x").await.unwrap();
        store.put("other/k", "x").await.unwrap();
        let mut guest = Guest::new(Containers::prefixes(store.clone()).root("own")).await;
        act!(guest, call_create, "c").unwrap();
        for name in ["", ".", "..", "/", "c/..", "../other", "..\\other", "a\0b", &"x".repeat(300)] {
            for error in [
                fails!(guest, call_create, name),
                fails!(guest, call_exists, name),
                fails!(guest, call_info, name),
                fails!(guest, call_delete, name),
                fails!(guest, call_copy, (name, "c"), ("k", "k")),
                fails!(guest, call_copy, ("c", name), ("k", "k")),
                fails!(guest, call_relocate, (name, "c"), ("k", "k")),
            ] {
                assert!(error.contains("the name"), "{error}");
            }
        }
        for name in ["", "..", "../c/k", "../../secret", "a/../../../secret", "./k", "../../other/k"] {
            let names = [name.to_owned()];
            for error in [
                fails!(guest, call_write, "c", name, b"x"),
                fails!(guest, call_read, "c", name, 0, 1),
                fails!(guest, call_has_object, "c", name),
                fails!(guest, call_object_info, "c", name),
                fails!(guest, call_delete_object, "c", name),
                fails!(guest, call_delete_objects, "c", &names),
                fails!(guest, call_copy, ("c", "c"), (name, "k")),
                fails!(guest, call_relocate, ("c", "c"), ("k", name)),
            ] {
                assert!(error.contains("the name"), "{error}");
            }
        }
        for key in ["secret", "other/k"] {
            assert_eq!(store.get(key).await.unwrap().bytes().await.unwrap(), "x");
        }
    });
}

#[test]
fn embedder_restricts_containers_and_writes() {
    run(async {
        let server = dev_server().await;
        let store = open(&server.endpoint(), &[]).await;
        // Named containers exist, and are the only ones.
        let mut guest = Guest::new(Containers::prefixes(store.clone()).only(["a", "b"])).await;
        assert!(act!(guest, call_exists, "a").unwrap());
        act!(guest, call_write, "a", "k", b"x").unwrap();
        assert_eq!(act!(guest, call_info, "a").unwrap().2, 0);
        assert!(fails!(guest, call_exists, "c").contains("does not allow this guest to use it"));
        assert!(fails!(guest, call_copy, ("a", "c"), ("k", "k")).contains("does not allow this guest to use it"));
        for error in [fails!(guest, call_create, "b"), fails!(guest, call_delete, "a")] {
            assert!(error.contains("does not allow this guest to create or delete it"), "{error}");
        }
        let mut guest = Guest::new(Containers::prefixes(store.clone()).fixed()).await;
        assert!(fails!(guest, call_create, "new").contains("does not allow this guest to create or delete it"));
        act!(guest, call_write, "a", "k", b"y").unwrap();

        let mut guest = Guest::new(Containers::prefixes(store.clone()).read_only()).await;
        assert_eq!(act!(guest, call_read, "a", "k", 0, 9).as_deref(), Ok(&b"y"[..]));
        let names = ["k".to_owned()];
        for error in [
            fails!(guest, call_create, "new"),
            fails!(guest, call_delete, "a"),
            fails!(guest, call_clear, "a"),
            fails!(guest, call_write, "a", "k", b"z"),
            fails!(guest, call_delete_object, "a", "k"),
            fails!(guest, call_delete_objects, "a", &names),
            fails!(guest, call_copy, ("a", "a"), ("k", "l")),
            fails!(guest, call_relocate, ("a", "a"), ("k", "l")),
        ] {
            assert_eq!(error, "the host allows this guest to read only");
        }
        assert_eq!(store.get("a/k").await.unwrap().bytes().await.unwrap(), "y");
    });
}

#[test]
fn error_of_upload_reaches_guest_without_secrets() {
    run(async {
        let server = dev_server().await;
        let missing = settings(&server.endpoint(), &[("bucket", "no-such-bucket")]);
        let mut guest = Guest::new(Containers::prefixes(engine().store(missing).await.unwrap()).only(["c"])).await;
        let error = fails!(guest, call_write, "c", "k", b"x");
        assert!(error.starts_with("container \"c\": put") && error.contains("no-such-bucket"), "{error}");
        for error in [
            fails!(guest, call_read, "c", "k", 0, 1),
            fails!(guest, call_names, "c", 0, 1),
            fails!(guest, call_clear, "c"),
            fails!(guest, call_delete_object, "c", "k"),
        ] {
            assert!(error.starts_with("container \"c\": ") && error.contains("no-such-bucket"), "{error}");
        }
    });
}
