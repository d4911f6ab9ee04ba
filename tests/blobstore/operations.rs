//! Every function of the interface.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use sandbucket::Store;
use sandbucket_tests::{Kind, dev_server, engine, open, run, run_within, settings};
use sandbucket_wasi_blobstore::{BlobstoreLimits, Containers};

use crate::host::{Guest, Manner};
use crate::{act, fails};

const MIB: u64 = 1 << 20;

/// Small buffers, so that bodies of the tests are larger.
fn small() -> BlobstoreLimits {
    let mut limits = BlobstoreLimits::default();
    limits.stream_buffer = 64 << 10;
    limits.unassigned_value = 256 << 10;
    limits.part_size = 5 << 20;
    limits
}

async fn no_uploads(store: &Store) {
    // An abandoned upload is aborted in the background; the test's own limit of time ends this.
    while !store.list_uploads("").await.unwrap().uploads.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn keys(store: &Store, prefix: &str) -> Vec<String> {
    store.list(prefix).entries().map_ok(|entry| entry.key).try_collect().await.unwrap()
}

/// What a guest does with containers that are prefixes, on any service.
async fn whole_interface(store: Store) {
    let mut guest = Guest::with_limits(Containers::prefixes(store.clone()).root("guests/7"), small()).await;

    // Containers.
    assert!(!act!(guest, call_exists, "photos").unwrap());
    assert!(
        fails!(guest, call_info, "photos").contains("container \"photos\" does not exist: create-container creates it")
    );
    act!(guest, call_create, "photos").unwrap();
    assert!(act!(guest, call_exists, "photos").unwrap());
    assert!(fails!(guest, call_create, "photos").contains("exists already: get-container opens it"));
    let (name, same, created) = act!(guest, call_info, "photos").unwrap();
    assert_eq!((&*name, &*same), ("photos", "photos"));
    assert!(created > 1_600_000_000, "{created}");
    // An equal beginning is no container.
    assert!(!act!(guest, call_exists, "photo").unwrap());

    // Small objects.
    act!(guest, call_write, "photos", "a/b c", b"0123456789").unwrap();
    act!(guest, call_write, "photos", "empty", b"").unwrap();
    assert_eq!(keys(&store, "guests/").await, ["guests/7/photos/", "guests/7/photos/a/b c", "guests/7/photos/empty"]);
    let info = act!(guest, call_object_info, "photos", "a/b c").unwrap();
    assert_eq!((&*info.name, &*info.container, info.size), ("a/b c", "photos", 10));
    assert!(info.created_at >= created);
    assert!(act!(guest, call_has_object, "photos", "empty").unwrap());
    assert!(!act!(guest, call_has_object, "photos", "a").unwrap());
    assert!(fails!(guest, call_object_info, "photos", "a").contains("object \"a\" does not exist"));

    // Ranges, both ends included.
    for (start, end, expected) in [
        (0, u64::MAX, "0123456789"),
        (0, 9, "0123456789"),
        (0, 0, "0"),
        (2, 4, "234"),
        (9, 9, "9"),
        (8, 10, "89"),
        (3, 1 << 40, "3456789"),
        (3, u64::MAX, "3456789"),
    ] {
        let read = act!(guest, call_read, "photos", "a/b c", start, end);
        assert_eq!(read.as_deref(), Ok(expected.as_bytes()), "{start}-{end}");
    }
    assert!(fails!(guest, call_read, "photos", "a/b c", 4, 3).contains("ends at byte 3, before it begins at byte 4"));
    assert!(fails!(guest, call_read, "photos", "a/b c", 10, 12).contains("it has no byte 10"));
    assert!(fails!(guest, call_read, "photos", "none", 0, 1).contains("object \"none\" does not exist"));
    for end in [0, 5, u64::MAX] {
        assert_eq!(act!(guest, call_read, "photos", "empty", 0, end).as_deref(), Ok(&b""[..]), "{end}");
    }

    // Bodies larger than the buffers, of several parts and of one.
    for (size, manner) in [
        (12 * MIB + 1, Manner::AssignedFirst),
        (200_000, Manner::AssignedFirst),
        (200_000, Manner::BodyFirst),
        (256 << 10, Manner::BodyFirst),
    ] {
        act!(guest, call_write_pattern, "photos", "large", size, manner).unwrap();
        assert_eq!(act!(guest, call_read_pattern, "photos", "large").unwrap(), (size, size, true), "{manner:?}");
    }

    // A value that is dropped stores nothing, and its upload is aborted.
    for size in [1000, 12 * MIB] {
        act!(guest, call_write_pattern, "photos", "dropped", size, Manner::Dropped).unwrap();
        assert!(!act!(guest, call_has_object, "photos", "dropped").unwrap(), "{size}");
    }
    no_uploads(&store).await;
    assert!(!act!(guest, call_has_object, "photos", "dropped").unwrap());

    // Copies and moves, within a container and across.
    act!(guest, call_create, "music").unwrap();
    act!(guest, call_copy, ("photos", "photos"), ("a/b c", "copy")).unwrap();
    act!(guest, call_copy, ("photos", "music"), ("copy", "copied")).unwrap();
    act!(guest, call_relocate, ("photos", "music"), ("copy", "moved")).unwrap();
    act!(guest, call_relocate, ("music", "music"), ("moved", "moved again")).unwrap();
    act!(guest, call_relocate, ("music", "music"), ("copied", "copied")).unwrap();
    act!(guest, call_copy, ("music", "music"), ("copied", "copied")).unwrap();
    assert_eq!(
        keys(&store, "guests/7/music/").await,
        ["", "copied", "moved again"].map(|name| format!("guests/7/music/{name}"))
    );
    for name in ["copied", "moved again"] {
        assert_eq!(act!(guest, call_read, "music", name, 0, u64::MAX).as_deref(), Ok(&b"0123456789"[..]));
    }
    assert!(!act!(guest, call_has_object, "photos", "copy").unwrap());
    let error = fails!(guest, call_copy, ("photos", "nowhere"), ("empty", "copy"));
    assert!(error.contains("container \"nowhere\" does not exist"), "{error}");
    let error = fails!(guest, call_relocate, ("photos", "music"), ("none", "copy"));
    assert!(error.contains("object \"none\" does not exist"), "{error}");
    assert!(fails!(guest, call_copy, ("music", "music"), ("none", "none")).contains("object \"none\" does not exist"));

    // Deletions.
    act!(guest, call_delete_object, "photos", "empty").unwrap();
    act!(guest, call_delete_object, "photos", "empty").unwrap();
    act!(guest, call_delete_objects, "photos", &["large".to_owned(), "none".to_owned()]).unwrap();
    assert_eq!(keys(&store, "guests/7/photos/").await, ["guests/7/photos/", "guests/7/photos/a/b c"]);
    act!(guest, call_delete, "photos").unwrap();
    assert!(!act!(guest, call_exists, "photos").unwrap());
    act!(guest, call_delete, "photos").unwrap();
    act!(guest, call_clear, "music").unwrap();
    assert_eq!(keys(&store, "").await, ["guests/7/music/"]);
}

#[test]
fn whole_interface_on_dev_server() {
    run(async {
        let server = dev_server().await;
        whole_interface(open(&server.endpoint(), &[]).await).await;
    });
}

#[test]
fn whole_interface_on_moto() {
    // The first run installs moto.
    run_within(Duration::from_secs(600), async {
        let service = Kind::Moto.start().await;
        whole_interface(engine().store(service.settings(&[])).await.unwrap()).await;
    });
}

#[test]
fn listing_reads_and_skips_pages() {
    run(async {
        let server = dev_server().await;
        let store = open(&server.endpoint(), &[]).await;
        let mut guest = Guest::new(Containers::prefixes(store.clone())).await;
        act!(guest, call_create, "c").unwrap();
        assert_eq!(act!(guest, call_names, "c", 0, 10).unwrap(), (0, vec![vec![]]));
        // More than a page of the service.
        let all: Vec<String> = (0..1203).map(|n| format!("{n:04}")).collect();
        let puts = futures::stream::iter(all.clone()).map(|name| store.put(format!("c/{name}"), "x").into_future());
        puts.buffer_unordered(8).try_collect::<Vec<_>>().await.unwrap();

        for (skip, count) in [(0, 400), (3, 1000), (1, 5000), (1100, 7), (1202, 1)] {
            let (skipped, pages) = act!(guest, call_names, "c", skip, count).unwrap();
            assert_eq!(skipped, skip);
            assert!(pages.iter().all(|page| page.len() as u64 <= count.min(1000)));
            assert_eq!(pages.concat(), all[skip as usize..], "{skip} {count}");
        }
        assert_eq!(act!(guest, call_names, "c", 5000, 1).unwrap(), (1203, vec![]));

        act!(guest, call_clear, "c").unwrap();
        assert_eq!(keys(&store, "").await, ["c/"]);
        assert!(act!(guest, call_exists, "c").unwrap());
    });
}

#[test]
fn containers_are_buckets() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let own = open(&endpoint, &[]).await;
        let bucket = move |name: String| {
            let settings = settings(&endpoint, &[("bucket", &name)]);
            async move { engine().store(settings).await }
        };
        for at_service in [false, true] {
            let mut containers = Containers::buckets(own.clone(), bucket.clone());
            if at_service {
                containers = containers.copies_at_service();
            }
            let mut guest = Guest::with_limits(containers, small()).await;
            assert!(!act!(guest, call_exists, "first-bucket").unwrap());
            act!(guest, call_create, "first-bucket").unwrap();
            act!(guest, call_create, "second-bucket").unwrap();
            assert!(own.bucket_exists("first-bucket").await.unwrap());
            assert!(fails!(guest, call_create, "first-bucket").contains("exists already"));
            let (name, _, created) = act!(guest, call_info, "first-bucket").unwrap();
            assert!(name == "first-bucket" && created > 1_600_000_000, "{name} {created}");

            act!(guest, call_write_pattern, "first-bucket", "a/../b", 6 * MIB, Manner::AssignedFirst).unwrap();
            let (first, second) =
                (bucket("first-bucket".to_owned()).await.unwrap(), bucket("second-bucket".to_owned()).await.unwrap());
            first.put("typed", "text").content_type("text/x").metadata("by", "me").await.unwrap();
            act!(guest, call_copy, ("first-bucket", "second-bucket"), ("typed", "typed")).unwrap();
            let info = second.head("typed").await.unwrap();
            assert_eq!((info.size, info.content_type.as_deref()), (4, Some("text/x")));
            assert_eq!(info.metadata, [("by".to_owned(), "me".to_owned())]);
            act!(guest, call_relocate, ("first-bucket", "second-bucket"), ("a/../b", "moved")).unwrap();
            assert_eq!(act!(guest, call_read_pattern, "second-bucket", "moved").unwrap(), (6 * MIB, 6 * MIB, true));
            assert_eq!(keys(&first, "").await, ["typed"]);
            assert!(
                fails!(guest, call_copy, ("first-bucket", "second-bucket"), ("none", "x")).contains("does not exist")
            );

            assert_eq!(act!(guest, call_names, "second-bucket", 0, 10).unwrap().1, [["moved", "typed"]]);
            for name in ["first-bucket", "second-bucket", "second-bucket"] {
                act!(guest, call_delete, name).unwrap();
                assert!(!own.bucket_exists(name).await.unwrap(), "{name}");
            }
        }
    });
}
