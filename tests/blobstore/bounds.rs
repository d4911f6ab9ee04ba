//! What one guest may hold, and how long its calls may take.

use std::time::Duration;

use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{dev_server, open, run};
use sandbucket_wasi_blobstore::{BlobstoreLimits, Containers};

use crate::host::{Guest, Hoard, Manner};
use crate::{act, fails, try_act};

/// A guest with one container, `c`, and these limits.
async fn guest(endpoint: &str, set: impl FnOnce(&mut BlobstoreLimits)) -> Guest {
    let mut limits = BlobstoreLimits::default();
    set(&mut limits);
    Guest::with_limits(Containers::prefixes(open(endpoint, &[]).await).only(["c"]), limits).await
}

#[test]
fn open_resources_are_bounded_and_freed() {
    run(async {
        let server = dev_server().await;
        let set = |limits: &mut BlobstoreLimits| {
            // One of them is the container of the other resources.
            (limits.containers, limits.listings, limits.incoming_values, limits.outgoing_values) = (4, 3, 3, 3);
        };
        let mut guest = guest(&server.endpoint(), set).await;
        act!(guest, call_write, "c", "k", b"x").unwrap();
        for (kind, error) in [
            (Hoard::Containers, "4 containers are open, which is the host's limit: drop some first"),
            (Hoard::Listings, "3 listings are open, which is the host's limit: drop some first"),
            (Hoard::IncomingValues, "3 incoming values are open, which is the host's limit: drop some first"),
        ] {
            for _ in 0..3 {
                act!(guest, call_hoard, kind, "c", "k", 3).unwrap();
                assert_eq!(fails!(guest, call_hoard, kind, "c", "k", 4), error);
            }
        }
        act!(guest, call_hoard, Hoard::OutgoingValues, "c", "k", 3).unwrap();
        let trap = try_act!(guest, call_hoard, Hoard::OutgoingValues, "c", "k", 4).unwrap_err();
        assert!(format!("{trap:?}").contains("3 outgoing values are open"), "{trap:?}");
    });
}

#[test]
fn misused_value_is_an_error_or_a_trap() {
    run(async {
        let server = dev_server().await;
        let mut guest = guest(&server.endpoint(), |limits| limits.unassigned_value = 100_000).await;
        let error = fails!(guest, call_write_pattern, "c", "k", 10, Manner::Unassigned);
        assert_eq!(error, "the value belongs to no object: call write-data of a container before finish");
        act!(guest, call_write_pattern, "c", "k", 100_000, Manner::BodyFirst).unwrap();
        let error = fails!(guest, call_write_pattern, "c", "none", 100_001, Manner::BodyFirst);
        assert!(error.contains("keeps 100000 bytes of a value without an object: call write-data"), "{error}");
        assert!(!act!(guest, call_has_object, "c", "none").unwrap());
        let errors = act!(guest, call_write_twice, "c", "k").unwrap();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[1].contains("the value is that of container \"c\": object \"k\" already"), "{errors:?}");
        let trap = try_act!(guest, call_drop_early).unwrap_err();
        assert!(format!("{trap:?}").contains("children"), "{trap:?}");
    });
}

#[test]
fn sizes_are_bounded() {
    run(async {
        let server = dev_server().await;
        let set = |limits: &mut BlobstoreLimits| {
            (limits.sync_value, limits.object_size, limits.names) = (1000, 2000, 3);
        };
        let mut guest = guest(&server.endpoint(), set).await;
        act!(guest, call_write_pattern, "c", "k", 2000, Manner::AssignedFirst).unwrap();
        let error = fails!(guest, call_read, "c", "k", 0, 1000);
        assert!(error.contains("the value has 1001 bytes, and the host reads at most 1000 at once"), "{error}");
        assert_eq!(act!(guest, call_read, "c", "k", 1, 1000).unwrap().len(), 1000);
        assert_eq!(act!(guest, call_read_pattern, "c", "k").unwrap(), (2000, 2000, true));
        let error = fails!(guest, call_write_pattern, "c", "longer", 2001, Manner::AssignedFirst);
        assert!(error.contains("longer than 2000 bytes, which is the host's limit"), "{error}");
        assert!(!act!(guest, call_has_object, "c", "longer").unwrap());
        let names: Vec<String> = (0..4).map(|n| n.to_string()).collect();
        assert!(fails!(guest, call_delete_objects, "c", &names).contains("4 names at once; the host takes 3"));
        act!(guest, call_delete_objects, "c", &names[1..]).unwrap();
    });
}

#[test]
fn calls_end_at_their_deadline() {
    run(async {
        let service = Faulty::start(std::iter::repeat_with(|| Act::silent().then_stall()).take(8)).await;
        let mut guest = guest(&service.endpoint(), |limits| limits.call_time = Duration::from_millis(200)).await;
        for error in [
            fails!(guest, call_has_object, "c", "k"),
            fails!(guest, call_read, "c", "k", 0, 9),
            fails!(guest, call_delete_object, "c", "k"),
        ] {
            assert!(error.contains("the call was stopped after 200ms, which the host allows"), "{error}");
        }
        let error = fails!(guest, call_write, "c", "k", b"x");
        assert!(error.contains("the upload was stopped after 200ms"), "{error}");
    });
}

#[test]
fn idle_upload_is_aborted() {
    run(async {
        let server = dev_server().await;
        let mut guest = guest(&server.endpoint(), |limits| limits.idle_time = Duration::from_millis(50)).await;
        let (error, last) = act!(guest, call_write_idle, "c", "k").unwrap();
        assert!(error.contains("the upload was aborted, as nothing was written for 50ms"), "{error}");
        assert!(last.contains("the upload was aborted"), "{last}");
        assert!(!act!(guest, call_has_object, "c", "k").unwrap());
    });
}
