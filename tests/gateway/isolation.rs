//! What a front-end key does not grant.

use sandbucket::TenantsConfig;
use sandbucket_tests::plain;
use sandbucket_tests::python::hex;
use serde_json::{Value, json};

use super::{Bench, SECRET, run, tenants};

#[test]
fn key_reaches_its_own_buckets_only() {
    run(async {
        let bench = Bench::start().await;
        let mut alice = bench.boto("alice-rw").await;
        let mut bob = bench.boto("bob-rw").await;
        bob.ok("put_object", json!({"Bucket": "bob-photos", "Key": "k", "Body": {"hex": "00"}})).await;

        let listed = alice.ok("list_buckets", json!({})).await;
        let names: Vec<_> = listed["Buckets"].as_array().unwrap().iter().map(|b| b["Name"].clone()).collect();
        assert_eq!(names, ["alice-all", "alice-music", "alice-photos"]);
        alice.ok("head_bucket", json!({"Bucket": "alice-photos"})).await;
        let location = alice.ok("get_bucket_location", json!({"Bucket": "alice-photos"})).await;
        assert_eq!(location["LocationConstraint"], Value::Null);
        // The same for a bucket of another tenant, one of a service, and one of nobody.
        for bucket in ["bob-photos", sandbucket_tests::BUCKET, "nobodys"] {
            let at = json!({"Bucket": bucket, "Key": "k"});
            alice.fails("get_object", at.clone(), "AccessDenied", 403).await;
            alice.fails("delete_object", at, "AccessDenied", 403).await;
            alice
                .fails("put_object", json!({"Bucket": bucket, "Key": "k", "Body": {"hex": "00"}}), "AccessDenied", 403)
                .await;
            alice.fails("list_objects_v2", json!({"Bucket": bucket}), "AccessDenied", 403).await;
            alice.fails("head_bucket", json!({"Bucket": bucket}), "403", 403).await;
            alice.fails("create_bucket", json!({"Bucket": bucket}), "AccessDenied", 403).await;
            alice.fails("delete_bucket", json!({"Bucket": bucket}), "AccessDenied", 403).await;
            let copy = json!({"Bucket": "alice-photos", "Key": "stolen", "CopySource": {"Bucket": bucket, "Key": "k"}});
            alice.fails("copy_object", copy, "AccessDenied", 403).await;
        }
        // As in S3's first region.
        alice.ok("create_bucket", json!({"Bucket": "alice-photos"})).await;
        alice.fails("delete_bucket", json!({"Bucket": "alice-photos"}), "AccessDenied", 403).await;
        alice.fails("get_bucket_policy", json!({"Bucket": "alice-photos"}), "NotImplemented", 501).await;
        bench.running.stop().await;
    });
}

#[test]
fn read_only_key_changes_nothing() {
    run(async {
        let bench = Bench::start().await;
        let mut writer = bench.boto("alice-rw").await;
        let mut reader = bench.boto("alice-ro").await;
        let at = json!({"Bucket": "alice-photos", "Key": "k"});
        let with = |more: Value| {
            let mut arguments = at.clone();
            arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            arguments
        };
        writer.ok("put_object", with(json!({"Body": {"hex": hex(b"abc")}}))).await;
        let id = writer.ok("create_multipart_upload", at.clone()).await["UploadId"].clone();
        assert_eq!(reader.ok("get_object", at.clone()).await["Body"], hex(b"abc"));
        reader.ok("list_objects_v2", json!({"Bucket": "alice-photos"})).await;
        reader.ok("list_parts", with(json!({"UploadId": id}))).await;
        for (method, arguments) in [
            ("put_object", with(json!({"Body": {"hex": "00"}}))),
            ("delete_object", at.clone()),
            ("delete_objects", json!({"Bucket": "alice-photos", "Delete": {"Objects": [{"Key": "k"}]}})),
            (
                "copy_object",
                with(json!({"CopySource": {"Bucket": "alice-photos", "Key": "k"}, "MetadataDirective": "REPLACE"})),
            ),
            ("create_multipart_upload", at.clone()),
            ("upload_part", with(json!({"UploadId": id, "PartNumber": 1, "Body": {"hex": "00"}}))),
            ("abort_multipart_upload", with(json!({"UploadId": id}))),
            ("put_object_tagging", with(json!({"Tagging": {"TagSet": []}}))),
            ("delete_object_tagging", at.clone()),
        ] {
            reader.fails(method, arguments, "AccessDenied", 403).await;
        }
        assert_eq!(writer.ok("get_object", at.clone()).await["Body"], hex(b"abc"));
        bench.running.stop().await;
    });
}

#[test]
fn prefixes_limit_a_key() {
    run(async {
        let bench = Bench::start().await;
        let mut owner = bench.boto("alice-rw").await;
        let mut part = bench.boto("alice-part").await;
        for key in ["a/1", "b/1"] {
            owner.ok("put_object", json!({"Bucket": "alice-photos", "Key": key, "Body": {"hex": "00"}})).await;
        }
        owner.ok("put_object", json!({"Bucket": "alice-music", "Key": "a/1", "Body": {"hex": "00"}})).await;
        let at = |key: &str| json!({"Bucket": "alice-photos", "Key": key});
        part.ok("get_object", at("a/1")).await;
        part.ok("put_object", json!({"Bucket": "alice-photos", "Key": "a/2", "Body": {"hex": "00"}})).await;
        part.fails("get_object", at("b/1"), "AccessDenied", 403).await;
        part.fails("get_object", json!({"Bucket": "alice-music", "Key": "a/1"}), "AccessDenied", 403).await;
        let listed = part.ok("list_objects_v2", json!({"Bucket": "alice-photos", "Prefix": "a/"})).await;
        assert_eq!(listed["KeyCount"], 2);
        for method in ["list_objects_v2", "list_objects", "list_object_versions", "list_multipart_uploads"] {
            for prefix in ["", "a", "b/"] {
                let arguments = json!({"Bucket": "alice-photos", "Prefix": prefix});
                part.fails(method, arguments, "AccessDenied", 403).await;
            }
        }
        let copy =
            json!({"Bucket": "alice-photos", "Key": "a/3", "CopySource": {"Bucket": "alice-photos", "Key": "b/1"}});
        part.fails("copy_object", copy, "AccessDenied", 403).await;
        let objects = json!({"Objects": [{"Key": "a/1"}, {"Key": "b/1"}]});
        let deleted = part.ok("delete_objects", json!({"Bucket": "alice-photos", "Delete": objects})).await;
        assert_eq!(deleted["Deleted"][0]["Key"], "a/1");
        assert_eq!(
            (&deleted["Errors"][0]["Key"], &deleted["Errors"][0]["Code"]),
            (&json!("b/1"), &json!("AccessDenied"))
        );
        owner.ok("head_object", at("b/1")).await;
        owner.fails("head_object", at("a/1"), "404", 404).await;
        let buckets = part.ok("list_buckets", json!({})).await;
        assert_eq!(buckets["Buckets"].as_array().unwrap().len(), 1);
        bench.running.stop().await;
    });
}

#[test]
fn unsigned_wrong_and_expired_signatures_are_rejected() {
    run(async {
        let bench = Bench::start().await;
        let url = format!("{}/alice-photos/k", bench.endpoint());
        for (method, body) in [("GET", ""), ("PUT", "x"), ("DELETE", "")] {
            let response = plain::fetch(method, &url, &[], body).await.unwrap();
            assert_eq!(response.status, 403, "{method}");
        }
        let mut unknown = bench.boto("nobody").await;
        unknown.fails("list_buckets", json!({}), "InvalidAccessKeyId", 403).await;
        let boto = sandbucket_tests::python::Boto::start(&bench.endpoint(), "alice-rw", "wrong secret").await.unwrap();
        super::Client(boto).fails("list_buckets", json!({}), "SignatureDoesNotMatch", 403).await;
        let mut alice = bench.boto("alice-rw").await;
        alice.ok("put_object", json!({"Bucket": "alice-photos", "Key": "k", "Body": {"hex": hex(b"abc")}})).await;
        let presign = |expires: u32| json!({"op": "presign", "method": "get_object", "bucket": "alice-photos", "key": "k", "expires": expires});
        let signed = alice.0.call(presign(60)).await.unwrap()["url"].as_str().unwrap().to_owned();
        let response = plain::fetch("GET", &signed, &[], "").await.unwrap();
        assert_eq!((response.status, response.body.as_ref()), (200, &b"abc"[..]));
        let other = signed.replace("/k?", "/l?");
        assert_eq!(plain::fetch("GET", &other, &[], "").await.unwrap().status, 403);
        assert_eq!(plain::fetch("PUT", &signed, &[], "x").await.unwrap().status, 403);
        let expired = alice.0.call(presign(1)).await.unwrap()["url"].as_str().unwrap().to_owned();
        tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
        assert_eq!(plain::fetch("GET", &expired, &[], "").await.unwrap().status, 403);
        bench.running.stop().await;
    });
}

#[test]
fn errors_and_listings_do_not_show_the_tenants_settings() {
    run(async {
        let bench = Bench::start().await;
        let mut boto = bench.boto("alice-rw").await;
        let mut texts = Vec::new();
        for (method, arguments) in [
            ("get_object", json!({"Bucket": "alice-photos", "Key": "absent"})),
            ("list_objects_v2", json!({"Bucket": "alice-photos", "MaxKeys": 1})),
            ("list_buckets", json!({})),
            (
                "upload_part",
                json!({"Bucket": "alice-photos", "Key": "k", "UploadId": "no", "PartNumber": 1, "Body": {"hex": "00"}}),
            ),
        ] {
            texts.push(boto.call(method, &arguments).await.to_string());
        }
        for text in texts {
            for secret in [
                bench.alice.endpoint().as_str(),
                sandbucket_tests::BUCKET,
                sandbucket_tests::ACCESS_KEY,
                bench.alice.secret_key(),
                SECRET,
            ] {
                let secret = secret.trim_start_matches("http://");
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
        bench.running.stop().await;
    });
}

#[test]
fn changed_keys_apply_at_once_and_faulty_changes_do_not() {
    run(async {
        let bench = Bench::start().await;
        let text = tenants(&bench.alice, &bench.bob);
        let mut alice = bench.boto("alice-rw").await;
        alice.ok("list_buckets", json!({})).await;
        let renamed = text.replace("'alice-rw'", "'alice-new'");
        bench.gateway.apply(&TenantsConfig::parse(&renamed).unwrap()).await.unwrap();
        alice.fails("list_buckets", json!({}), "InvalidAccessKeyId", 403).await;
        let mut new = bench.boto("alice-new").await;
        new.ok("list_buckets", json!({})).await;
        // The same key for two tenants.
        let faulty = renamed.replace("'bob-rw'", "'alice-new'");
        let error = bench.gateway.apply(&TenantsConfig::parse(&faulty).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("alice") && error.contains("bob") && !error.contains(SECRET), "{error}");
        new.ok("list_buckets", json!({})).await;
        let mut bob = bench.boto("bob-rw").await;
        bob.ok("list_buckets", json!({})).await;
        bench.running.stop().await;
    });
}
