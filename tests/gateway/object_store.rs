//! The `object_store` crate's own S3 client and integration suite against the gateway, on both tenants.

use object_store::aws::{AmazonS3, AmazonS3Builder, S3CopyIfNotExists};
use object_store::integration;
use sandbucket_tests::Kind;

use super::{Bench, SECRET, both, run};

fn store(bench: &Bench, name: &str) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(bench.endpoint())
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(format!("{name}-photos"))
        .with_access_key_id(format!("{name}-rw"))
        .with_secret_access_key(SECRET)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .build()
        .unwrap()
}

/// A function of the suite as a test, skipped on a tenant's service for the given reason.
macro_rules! suite {
    ($name:ident $(without $kind:ident: $why:literal)* => |$store:ident| $call:expr) => {
        #[test]
        fn $name() {
            run(async {
                let bench = Bench::start().await;
                for (name, service) in both(&bench) {
                    let _ = service;
                    $(if service.cannot(Kind::$kind, $why) {
                        continue;
                    })*
                    let $store = store(&bench, name);
                    $call.await;
                }
                bench.running.stop().await;
            });
        }
    };
}

suite!(put_get_delete_list => |store| integration::put_get_delete_list(&store));
suite!(put_get_attributes => |store| integration::put_get_attributes(&store));
suite!(get_opts => |store| integration::get_opts(&store));
suite!(put_opts
    without Moto: "it takes no notice of If-Match on writes"
    => |store| integration::put_opts(&store, true));
suite!(stream_get => |store| integration::stream_get(&store));
suite!(list_uses_directories_correctly => |store| integration::list_uses_directories_correctly(&store));
suite!(list_with_delimiter => |store| integration::list_with_delimiter(&store));
suite!(list_with_offset_exclusivity => |store| integration::list_with_offset_exclusivity(&store));
suite!(list_paginated => |store| integration::list_paginated(&store, &store));
suite!(rename_and_copy => |store| integration::rename_and_copy(&store));
suite!(copy_if_not_exists => |store| integration::copy_if_not_exists(&store));
suite!(copy_rename_nonexistent_object => |store| integration::copy_rename_nonexistent_object(&store));
suite!(multipart => |store| integration::multipart(&store, &store));
suite!(multipart_with_opts => |store| integration::multipart_with_opts(&store, &store));
suite!(multipart_put_part_out_of_order => |store| integration::multipart_put_part_out_of_order(&store, &store));
suite!(multipart_race_condition => |store| integration::multipart_race_condition(&store, true));
suite!(multipart_out_of_order => |store| integration::multipart_out_of_order(&store));
suite!(nonexistent_object_is_not_found => |store| get_nonexistent_object(store));

async fn get_nonexistent_object(store: AmazonS3) {
    let error = integration::get_nonexistent_object(&store, None).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}
