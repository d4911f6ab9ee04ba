//! The functions of the `object_store` crate's suite for S3. On a service other than the dev server a test is skipped only for a
//! documented limit of that service.

use object_store::integration;
use sandbucket_tests::{Kind, run};

use super::start;

/// A function of the suite as a test, skipped on a service for the given reason.
macro_rules! suite {
    ($name:ident $(without $kind:ident: $why:literal)* => |$store:ident| $call:expr) => {
        #[test]
        fn $name() {
            run(async {
                #[allow(unused_variables, reason = "not every test is left out somewhere")]
                let (service, $store) = start().await;
                $(if service.cannot(Kind::$kind, $why) {
                    return;
                })*
                $call.await;
            });
        }
    };
}

suite!(put_get_delete_list => |store| integration::put_get_delete_list(&store));
suite!(put_get_attributes without Ceph: "its metadata have hyphens for underscores" => |store| integration::put_get_attributes(&store));
suite!(get_opts => |store| integration::get_opts(&store));
suite!(put_opts
    without Garage: "it takes no notice of conditions on what is written"
    without Ceph: "it responds 500 to writes on the same condition at once, where the suite expects 412"
    => |store| integration::put_opts(&store, true));
suite!(stream_get => |store| integration::stream_get(&store));
suite!(list_uses_directories_correctly => |store| integration::list_uses_directories_correctly(&store));
suite!(list_with_delimiter => |store| integration::list_with_delimiter(&store));
suite!(list_with_offset_exclusivity => |store| integration::list_with_offset_exclusivity(&store));
suite!(list_paginated => |store| integration::list_paginated(&store, &store));
suite!(rename_and_copy => |store| integration::rename_and_copy(&store));
suite!(copy_if_not_exists
    without Garage: "it takes no notice of conditions on what is written"
    without Moto: "it copies whatever the condition"
    => |store| integration::copy_if_not_exists(&store));
suite!(copy_rename_nonexistent_object => |store| integration::copy_rename_nonexistent_object(&store));
suite!(multipart without Garage: "it takes no empty part, and the suite writes a blob of none" => |store| integration::multipart(&store, &store));
suite!(multipart_with_opts without Ceph: "its metadata have hyphens for underscores" => |store| integration::multipart_with_opts(&store, &store));
suite!(multipart_put_part_out_of_order => |store| integration::multipart_put_part_out_of_order(&store, &store));
suite!(multipart_race_condition
    without Azurite: "the first of concurrent uploads to a key drops the parts of the others"
    => |store| integration::multipart_race_condition(&store, true));
suite!(multipart_out_of_order => |store| integration::multipart_out_of_order(&store));

#[test]
fn get_nonexistent_object() {
    run(async {
        let (_service, store) = start().await;
        let error = integration::get_nonexistent_object(&store, None).await.unwrap_err();
        assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
    });
}
