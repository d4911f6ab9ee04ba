//! boto3 and the `aws` command on both tenants.

use sandbucket_tests::Kind;
use sandbucket_tests::python::hex;
use serde_json::{Value, json};

use super::{Bench, Client, both, bytes, run};

/// Minimum size of a part other than the last.
const PART: usize = 5 << 20;

#[test]
fn objects_round_trip_with_their_properties() {
    run(async {
        let bench = Bench::start().await;
        for (name, service) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            let at = |key: &str| json!({"Bucket": bucket, "Key": key});
            for (key, length) in [("empty", 0), ("a b/ü+%", 10), ("large", 9 << 20)] {
                let put = json!({
                    "Bucket": bucket, "Key": key, "Body": {"hex": hex(&bytes(length))},
                    "ContentType": "text/x-a", "CacheControl": "no-cache", "ContentDisposition": "inline",
                    "ContentLanguage": "de", "Metadata": {"m": "1"}, "Tagging": "t=1&u=2",
                });
                let written = boto.ok("put_object", put).await;
                let got = boto.ok("get_object", at(key)).await;
                assert!(got["Body"] == hex(&bytes(length)), "{name}: the body of {key} differs");
                assert_eq!(got["ETag"], written["ETag"]);
                assert_eq!(got["ContentLength"], length);
                assert_eq!((&got["ContentType"], &got["CacheControl"]), (&json!("text/x-a"), &json!("no-cache")));
                assert_eq!((&got["ContentDisposition"], &got["ContentLanguage"]), (&json!("inline"), &json!("de")));
                assert_eq!(got["Metadata"], json!({"m": "1"}));
                let head = boto.ok("head_object", at(key)).await;
                assert_eq!((&head["ContentLength"], &head["ETag"]), (&json!(length), &got["ETag"]));
                assert_eq!(head["LastModified"], got["LastModified"]);
                let tags = boto.ok("get_object_tagging", at(key)).await;
                let mut tags: Vec<_> =
                    tags["TagSet"].as_array().unwrap().iter().map(|tag| tag["Key"].clone()).collect();
                tags.sort_by_key(Value::to_string);
                assert_eq!(tags, ["t", "u"]);
            }
            // It is stored below the bucket's prefix.
            let store = service.open(&[]).await;
            assert_eq!(store.head("photos/large").await.unwrap().size, 9 << 20);
            boto.fails("get_object", at("absent"), "NoSuchKey", 404).await;
            boto.fails("head_object", at("absent"), "404", 404).await;
            boto.ok("delete_object", at("empty")).await;
            boto.ok("delete_object", at("empty")).await;
            boto.fails("head_object", at("empty"), "404", 404).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn ranges_conditions_and_overridden_headers_apply() {
    run(async {
        let bench = Bench::start().await;
        for (name, service) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            let with = |more: Value| {
                let mut arguments = json!({"Bucket": bucket, "Key": "k"});
                arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                arguments
            };
            let etag = boto.ok("put_object", with(json!({"Body": {"hex": hex(b"0123456789")}}))).await["ETag"].clone();
            for (range, body, content_range) in [
                ("bytes=2-4", "234", "bytes 2-4/10"),
                ("bytes=7-", "789", "bytes 7-9/10"),
                ("bytes=-2", "89", "bytes 8-9/10"),
                ("bytes=0-99", "0123456789", "bytes 0-9/10"),
            ] {
                let got = boto.ok("get_object", with(json!({"Range": range}))).await;
                assert_eq!((&got["Body"], &got["ContentRange"]), (&json!(hex(body.as_bytes())), &json!(content_range)));
                assert_eq!(got["ResponseMetadata"]["HTTPStatusCode"], 206);
            }
            boto.fails("get_object", with(json!({"Range": "bytes=10-"})), "InvalidRange", 416).await;
            let head = boto.ok("head_object", with(json!({"Range": "bytes=2-4"}))).await;
            assert_eq!((&head["ContentLength"], &head["ResponseMetadata"]["HTTPStatusCode"]), (&json!(3), &json!(206)));
            boto.ok("get_object", with(json!({"IfMatch": etag}))).await;
            boto.fails("get_object", with(json!({"IfMatch": "\"x\""})), "PreconditionFailed", 412).await;
            boto.fails("get_object", with(json!({"IfNoneMatch": etag})), "304", 304).await;
            boto.fails("head_object", with(json!({"IfNoneMatch": etag})), "304", 304).await;
            let modified = boto.ok("head_object", with(json!({}))).await["LastModified"].clone();
            boto.fails("get_object", with(json!({"IfModifiedSince": modified})), "304", 304).await;
            boto.ok("head_object", with(json!({"IfModifiedSince": "2020-01-01T00:00:00Z"}))).await;
            boto.fails("head_object", with(json!({"IfUnmodifiedSince": "2020-01-01T00:00:00Z"})), "412", 412).await;
            let overridden = json!({"ResponseContentType": "text/x-b", "ResponseCacheControl": "max-age=1"});
            let got = boto.ok("get_object", with(overridden)).await;
            assert_eq!((&got["ContentType"], &got["CacheControl"]), (&json!("text/x-b"), &json!("max-age=1")));

            let body = json!({"hex": hex(b"other")});
            boto.fails("put_object", with(json!({"Body": body, "IfNoneMatch": "*"})), "PreconditionFailed", 412).await;
            // S3 compares other values than `*` with nothing.
            boto.fails("put_object", with(json!({"Body": body, "IfNoneMatch": "\"x\""})), "NotImplemented", 501).await;
            let absent = json!({"Bucket": bucket, "Key": "absent", "Body": body, "IfMatch": "*"});
            boto.fails("put_object", absent, "NoSuchKey", 404).await;
            if service.cannot(Kind::Moto, "it takes no notice of If-Match on writes") {
                continue;
            }
            boto.fails("put_object", with(json!({"Body": body, "IfMatch": "\"x\""})), "PreconditionFailed", 412).await;
            boto.ok("put_object", with(json!({"Body": body, "IfMatch": etag}))).await;
            boto.ok("put_object", with(json!({"Body": body, "IfMatch": "*"}))).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn conditional_deletes_compare_the_entity_tag() {
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            let put = |key: &str| json!({"Bucket": bucket, "Key": key, "Body": {"hex": hex(key.as_bytes())}});
            let at = |key: &str, etag: &Value| json!({"Bucket": bucket, "Key": key, "IfMatch": etag});
            let mut etags = Vec::new();
            for key in ["a", "b", "c", "d"] {
                etags.push(boto.ok("put_object", put(key)).await["ETag"].clone());
            }
            boto.fails("delete_object", at("a", &etags[1]), "PreconditionFailed", 412).await;
            boto.ok("delete_object", at("a", &etags[0])).await;
            for etag in [&etags[0], &json!("*")] {
                boto.fails("delete_object", at("a", etag), "NoSuchKey", 404).await;
            }
            boto.ok("delete_object", at("b", &json!("*"))).await;
            let objects = json!({"Objects": [
                {"Key": "c", "ETag": etags[3]}, {"Key": "d", "ETag": etags[3]}, {"Key": "e"}, {"Key": "f", "ETag": etags[3]},
            ]});
            let deleted = boto.ok("delete_objects", json!({"Bucket": bucket, "Delete": objects})).await;
            assert_eq!(texts(&deleted, "Deleted", "Key"), ["d", "e"]);
            assert_eq!(texts(&deleted, "Errors", "Key"), ["c", "f"]);
            assert_eq!(texts(&deleted, "Errors", "Code"), ["PreconditionFailed", "NoSuchKey"]);
            let left = boto.ok("list_objects_v2", json!({"Bucket": bucket})).await;
            assert_eq!(keys(&left), ["c"]);
            // S3 has it for directory buckets only.
            let sized = json!({"Bucket": bucket, "Key": "c", "IfMatchSize": 1});
            boto.fails("delete_object", sized, "NotImplemented", 501).await;
            let part = |number: u32| json!({"Bucket": bucket, "Key": "c", "PartNumber": number});
            assert_eq!(boto.ok("get_object", part(1)).await["Body"], json!(hex(b"c")));
            boto.fails("get_object", part(2), "InvalidPartNumber", 416).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn listings_are_paged_folded_and_encoded() {
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            for key in ["a", "b/1", "b/2", "c/1", "d e+é"] {
                boto.ok("put_object", json!({"Bucket": bucket, "Key": key, "Body": {"hex": "00"}})).await;
            }
            // Outside of the bucket.
            let other = json!({"Bucket": format!("{name}-music"), "Key": "z", "Body": {"hex": "00"}});
            boto.ok("put_object", other).await;
            for (method, prefix_field) in [("list_objects_v2", "StartAfter"), ("list_objects", "Marker")] {
                let all = boto.ok(method, json!({"Bucket": bucket})).await;
                assert_eq!(keys(&all), ["a", "b/1", "b/2", "c/1", "d e+é"], "{method}");
                assert_eq!(all["IsTruncated"], false);
                let folded = boto.ok(method, json!({"Bucket": bucket, "Delimiter": "/"})).await;
                assert_eq!((keys(&folded), prefixes(&folded)), (strings(&["a", "d e+é"]), strings(&["b/", "c/"])));
                let below = boto.ok(method, json!({"Bucket": bucket, "Delimiter": "/", "Prefix": "b/"})).await;
                assert_eq!(keys(&below), ["b/1", "b/2"]);
                let after = boto.ok(method, json!({"Bucket": bucket, prefix_field: "b/1"})).await;
                assert_eq!(keys(&after), ["b/2", "c/1", "d e+é"]);
                let none = boto.ok(method, json!({"Bucket": bucket, "MaxKeys": 0})).await;
                assert!(keys(&none).is_empty() && none["IsTruncated"] == false);
            }
            assert_eq!(pages_v2(&mut boto, &bucket).await, ["a", "b/", "c/", "d e+é"]);
            assert_eq!(pages_v1(&mut boto, &bucket).await, ["a", "b/", "c/", "d e+é"]);
            let versions = boto.ok("list_object_versions", json!({"Bucket": bucket, "Prefix": "b/"})).await;
            let versions: Vec<_> = versions["Versions"].as_array().unwrap().iter().map(|v| v["Key"].clone()).collect();
            assert_eq!(versions, ["b/1", "b/2"]);
        }
        bench.running.stop().await;
    });
}

fn keys(page: &Value) -> Vec<String> {
    texts(page, "Contents", "Key")
}

fn prefixes(page: &Value) -> Vec<String> {
    texts(page, "CommonPrefixes", "Prefix")
}

fn texts(page: &Value, list: &str, field: &str) -> Vec<String> {
    let found = page[list].as_array().into_iter().flatten();
    found.filter_map(|one| one[field].as_str().map(str::to_owned)).collect()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// All entries and prefixes, in pages of one.
async fn pages_v2(boto: &mut Client, bucket: &str) -> Vec<String> {
    let (mut found, mut arguments) = (Vec::new(), json!({"Bucket": bucket, "Delimiter": "/", "MaxKeys": 1}));
    loop {
        let page = boto.ok("list_objects_v2", arguments.clone()).await;
        assert_eq!(page["KeyCount"], keys(&page).len() + prefixes(&page).len());
        found.extend(keys(&page).into_iter().chain(prefixes(&page)));
        match page["NextContinuationToken"].as_str() {
            Some(token) => arguments["ContinuationToken"] = json!(token),
            None => return found,
        }
    }
}

async fn pages_v1(boto: &mut Client, bucket: &str) -> Vec<String> {
    let (mut found, mut arguments) = (Vec::new(), json!({"Bucket": bucket, "Delimiter": "/", "MaxKeys": 1}));
    loop {
        let page = boto.ok("list_objects", arguments.clone()).await;
        found.extend(keys(&page).into_iter().chain(prefixes(&page)));
        match page["NextMarker"].as_str() {
            Some(marker) => arguments["Marker"] = json!(marker),
            None => return found,
        }
    }
}

#[test]
fn copies_bulk_deletes_and_tags_pass_through() {
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let (photos, music) = (format!("{name}-photos"), format!("{name}-music"));
            let put = json!({"Bucket": photos, "Key": "k é", "Body": {"hex": hex(b"abc")}, "Metadata": {"m": "1"}});
            boto.ok("put_object", put).await;
            let source = json!({"Bucket": photos, "Key": "k é"});
            let copied = json!({"Bucket": music, "Key": "copy", "CopySource": source});
            let result = boto.ok("copy_object", copied).await;
            assert!(
                result["CopyObjectResult"]["ETag"].is_string()
                    && result["CopyObjectResult"]["LastModified"].is_string()
            );
            let got = boto.ok("get_object", json!({"Bucket": music, "Key": "copy"})).await;
            assert_eq!((&got["Body"], &got["Metadata"]), (&json!(hex(b"abc")), &json!({"m": "1"})));
            let replaced = json!({
                "Bucket": music, "Key": "copy", "CopySource": {"Bucket": music, "Key": "copy"},
                "MetadataDirective": "REPLACE", "Metadata": {"n": "2"}, "ContentType": "text/x-c",
            });
            boto.ok("copy_object", replaced).await;
            let attributes = json!(["ETag", "ObjectSize", "StorageClass"]);
            let wanted = json!({"Bucket": music, "Key": "copy", "ObjectAttributes": attributes});
            let got = boto.ok("get_object_attributes", wanted).await;
            assert_eq!((&got["ObjectSize"], &got["StorageClass"]), (&json!(3), &json!("STANDARD")));
            // Here alone without quotes.
            let quoted = boto.ok("head_object", json!({"Bucket": music, "Key": "copy"})).await["ETag"].clone();
            assert_eq!(quoted, format!("\"{}\"", got["ETag"].as_str().unwrap()));
            let acl = boto.ok("get_object_acl", json!({"Bucket": music, "Key": "copy"})).await;
            assert_eq!(acl["Grants"][0]["Permission"], "FULL_CONTROL");
            boto.ok("put_object_acl", json!({"Bucket": music, "Key": "copy", "ACL": "private"})).await;
            let public = json!({"Bucket": music, "Key": "copy", "ACL": "public-read"});
            boto.fails("put_object_acl", public, "AccessControlListNotSupported", 400).await;
            let got = boto.ok("head_object", json!({"Bucket": music, "Key": "copy"})).await;
            assert_eq!((&got["ContentType"], &got["Metadata"]), (&json!("text/x-c"), &json!({"n": "2"})));

            let tagging = json!({"TagSet": [{"Key": "t", "Value": "1"}]});
            boto.ok("put_object_tagging", json!({"Bucket": music, "Key": "copy", "Tagging": tagging})).await;
            let tags = boto.ok("get_object_tagging", json!({"Bucket": music, "Key": "copy"})).await;
            assert_eq!(tags["TagSet"], tagging["TagSet"]);
            boto.ok("delete_object_tagging", json!({"Bucket": music, "Key": "copy"})).await;
            let tags = boto.ok("get_object_tagging", json!({"Bucket": music, "Key": "copy"})).await;
            assert_eq!(tags["TagSet"], json!([]));

            let objects = json!({"Objects": [{"Key": "copy"}, {"Key": "absent"}]});
            let deleted = boto.ok("delete_objects", json!({"Bucket": music, "Delete": objects})).await;
            assert_eq!(texts(&deleted, "Deleted", "Key"), ["copy", "absent"]);
            boto.fails("head_object", json!({"Bucket": music, "Key": "copy"}), "404", 404).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn multipart_uploads_are_listed_completed_and_aborted() {
    run(async {
        let bench = Bench::start().await;
        for (name, service) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            let at = json!({"Bucket": bucket, "Key": "big"});
            let with = |more: Value| {
                let mut arguments = at.clone();
                arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                arguments
            };
            boto.ok("put_object", json!({"Bucket": bucket, "Key": "source", "Body": {"hex": hex(&bytes(PART))}})).await;
            let created = boto.ok("create_multipart_upload", with(json!({"Metadata": {"m": "1"}}))).await;
            let id = created["UploadId"].clone();
            let first = with(json!({"UploadId": id, "PartNumber": 1, "Body": {"hex": hex(&bytes(PART))}}));
            let first = boto.ok("upload_part", first).await["ETag"].clone();
            let second = with(json!({
                "UploadId": id, "PartNumber": 2, "CopySource": {"Bucket": bucket, "Key": "source"},
                "CopySourceRange": "bytes=0-1016",
            }));
            let second = boto.ok("upload_part_copy", second).await["CopyPartResult"]["ETag"].clone();
            let listed = boto.ok("list_parts", with(json!({"UploadId": id}))).await;
            let listed: Vec<_> = listed["Parts"].as_array().unwrap().iter().map(|part| part["ETag"].clone()).collect();
            assert_eq!(listed, [first.clone(), second.clone()]);
            let page = boto.ok("list_parts", with(json!({"UploadId": id, "MaxParts": 1}))).await;
            assert_eq!((&page["IsTruncated"], &page["NextPartNumberMarker"]), (&json!(true), &json!(1)));
            let page = boto.ok("list_parts", with(json!({"UploadId": id, "PartNumberMarker": 1}))).await;
            assert_eq!((&page["IsTruncated"], &page["Parts"][0]["PartNumber"]), (&json!(false), &json!(2)));
            let uploads = boto.ok("list_multipart_uploads", json!({"Bucket": bucket, "Prefix": "bi"})).await;
            assert_eq!(
                (texts(&uploads, "Uploads", "Key"), &uploads["Uploads"][0]["UploadId"]),
                (strings(&["big"]), &id)
            );
            let parts = json!({"Parts": [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]});
            let done = with(json!({"UploadId": id, "MultipartUpload": parts}));
            boto.ok("complete_multipart_upload", done.clone()).await;
            let got = boto.ok("get_object", at.clone()).await;
            let expected = [bytes(PART), bytes(1017)].concat();
            assert!(got["Body"] == hex(&expected), "{name}: the body differs");
            assert_eq!(got["Metadata"], json!({"m": "1"}));

            let aborted = boto.ok("create_multipart_upload", at.clone()).await["UploadId"].clone();
            boto.ok("abort_multipart_upload", with(json!({"UploadId": aborted}))).await;
            let uploads = boto.ok("list_multipart_uploads", json!({"Bucket": bucket})).await;
            assert_eq!(uploads.get("Uploads"), None);
            if service.cannot(Kind::Moto, "it responds 500 to a part of an aborted upload") {
                continue;
            }
            let part = with(json!({"UploadId": aborted, "PartNumber": 1, "Body": {"hex": "00"}}));
            boto.fails("upload_part", part, "NoSuchUpload", 404).await;
            for ended in [&aborted, &id, &json!("another")] {
                let abort = with(json!({"UploadId": ended}));
                boto.fails("abort_multipart_upload", abort, "NoSuchUpload", 404).await;
            }
            // The response to the first completion may be lost.
            assert_eq!(boto.ok("complete_multipart_upload", done).await["ETag"], got["ETag"]);

            let part = |number: u32| with(json!({"PartNumber": number}));
            let second = boto.ok("get_object", part(2)).await;
            assert_eq!((&second["Body"], &second["PartsCount"]), (&json!(hex(&bytes(1017))), &json!(2)));
            let first = boto.ok("head_object", part(1)).await;
            assert_eq!((&first["ContentLength"], &first["PartsCount"]), (&json!(PART), &json!(2)));
            boto.fails("get_object", part(3), "InvalidPartNumber", 416).await;
            let wanted = json!({"ObjectAttributes": ["ObjectParts", "ObjectSize"]});
            let found = boto.ok("get_object_attributes", with(wanted.clone())).await;
            assert_eq!(found["ObjectParts"]["TotalPartsCount"], json!(2));
            assert_eq!(found["ObjectSize"], json!(PART + 1017));
            let mut single = wanted;
            single.as_object_mut().unwrap().extend([("Bucket".into(), json!(bucket)), ("Key".into(), json!("source"))]);
            assert_eq!(boto.ok("get_object_attributes", single).await.get("ObjectParts"), None);
        }
        bench.running.stop().await;
    });
}

#[test]
fn checksums_in_headers_and_trailers_are_verified() {
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] {
                for length in if algorithm == "CRC32" { vec![17, 9 << 20] } else { vec![17] } {
                    let put = json!({
                        "Bucket": bucket, "Key": algorithm, "Body": {"hex": hex(&bytes(length))},
                        "ChecksumAlgorithm": algorithm,
                    });
                    let written = boto.ok("put_object", put).await;
                    assert!(written[format!("Checksum{algorithm}")].is_string(), "{algorithm}: {written}");
                    let got = boto.ok("get_object", json!({"Bucket": bucket, "Key": algorithm})).await;
                    assert!(got["Body"] == hex(&bytes(length)), "{name}: the body differs");
                }
            }
            let wrong = json!({"Bucket": bucket, "Key": "wrong", "Body": {"hex": "00"}, "ChecksumCRC32": "AAAAAA=="});
            boto.fails("put_object", wrong, "BadDigest", 400).await;
            let wrong = json!({"Bucket": bucket, "Key": "wrong", "Body": {"hex": "00"}, "ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="});
            boto.fails("put_object", wrong, "BadDigest", 400).await;
            let wrong = json!({"Bucket": bucket, "Key": "wrong", "Body": {"hex": "00"}, "ContentMD5": "YWJj"});
            boto.fails("put_object", wrong, "InvalidDigest", 400).await;
            boto.fails("head_object", json!({"Bucket": bucket, "Key": "wrong"}), "404", 404).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn stored_checksums_are_reported_if_the_client_asks() {
    run(async {
        let bench = Bench::start().await;
        for (name, service) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let at = json!({"Bucket": format!("{name}-photos"), "Key": "k"});
            let with = |more: Value| {
                let mut arguments = at.clone();
                arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                arguments
            };
            let sum = json!("hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=");
            let put = json!({"Body": {"hex": hex(b"0123456789")}, "ChecksumSHA256": sum});
            assert_eq!(boto.ok("put_object", with(put)).await["ChecksumSHA256"], sum);
            assert_eq!(boto.ok("head_object", at.clone()).await.get("ChecksumSHA256"), None);
            if service.cannot(Kind::Moto, "its HEAD reports no checksum") {
                continue;
            }
            let enabled = json!({"ChecksumMode": "ENABLED"});
            assert_eq!(boto.ok("head_object", with(enabled.clone())).await["ChecksumSHA256"], sum);
            let got = boto.ok("get_object", with(enabled.clone())).await;
            assert_eq!((&got["ChecksumSHA256"], &got["Body"]), (&sum, &json!(hex(b"0123456789"))));
            // It is not that of a range.
            let range = with(json!({"ChecksumMode": "ENABLED", "Range": "bytes=2-4"}));
            assert_eq!(boto.ok("get_object", range).await.get("ChecksumSHA256"), None);
            let found = boto.ok("get_object_attributes", with(json!({"ObjectAttributes": ["Checksum"]}))).await;
            assert_eq!(found["Checksum"]["ChecksumSHA256"], sum);
        }
        bench.running.stop().await;
    });
}

#[test]
fn responses_to_writes_repeat_the_encryption_and_customer_keys_are_verified() {
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let bucket = format!("{name}-photos");
            let put = json!({"Bucket": bucket, "Key": "k", "Body": {"hex": "00"}, "ServerSideEncryption": "AES256"});
            assert_eq!(boto.ok("put_object", put).await["ServerSideEncryption"], json!("AES256"));
            let copy = json!({
                "Bucket": bucket, "Key": "l", "CopySource": {"Bucket": bucket, "Key": "k"}, "ServerSideEncryption": "AES256",
            });
            assert_eq!(boto.ok("copy_object", copy).await["ServerSideEncryption"], json!("AES256"));
            let create = json!({"Bucket": bucket, "Key": "m", "ServerSideEncryption": "AES256"});
            assert_eq!(boto.ok("create_multipart_upload", create).await["ServerSideEncryption"], json!("AES256"));
            // Bytes 0 to 31, with the digest of other ones.
            let damaged = json!({
                "Bucket": bucket, "Key": "n", "Body": {"hex": "00"}, "SSECustomerAlgorithm": "AES256",
                "SSECustomerKey": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "SSECustomerKeyMD5": "DWygnHRtgiJ77HCm+1rvHw==",
            });
            boto.fails("put_object", damaged, "InvalidArgument", 400).await;
            let create = json!({"Bucket": bucket, "ACL": "public-read"});
            boto.fails("create_bucket", create, "InvalidBucketAclWithObjectOwnership", 400).await;
            boto.ok("create_bucket", json!({"Bucket": bucket, "ACL": "private"})).await;
        }
        bench.running.stop().await;
    });
}

#[test]
fn large_bodies_stream_to_stores_that_send_streams() {
    run(async {
        let bench = Bench::start().await;
        let text = super::tenants(&bench.alice, &bench.bob);
        let text = text.replace(
            "[tenants.alice.store.blob.s3]\n",
            "[tenants.alice.store.blob.s3]\npayload-signing = 'unsigned'\n",
        );
        bench.gateway.apply(&sandbucket::TenantsConfig::parse(&text).unwrap()).await.unwrap();
        assert!(bench.gateway.tenants().get("alice").unwrap().store().await.unwrap().sends_streams());
        let mut boto = bench.boto("alice-rw").await;
        let body = bytes(12 << 20);
        let put = json!({"Bucket": "alice-photos", "Key": "k", "Body": {"hex": hex(&body)}});
        let etag = boto.ok("put_object", put).await["ETag"].clone();
        assert!(!etag.as_str().unwrap().contains('-'), "{etag}: it was uploaded in parts");
        let got = boto.ok("get_object", json!({"Bucket": "alice-photos", "Key": "k"})).await;
        assert!(got["Body"] == hex(&body), "the body differs");
        let wrong =
            json!({"Bucket": "alice-photos", "Key": "w", "Body": {"hex": hex(&body)}, "ChecksumCRC32": "AAAAAA=="});
        boto.fails("put_object", wrong, "BadDigest", 400).await;
        boto.fails("head_object", json!({"Bucket": "alice-photos", "Key": "w"}), "404", 404).await;
        let upload = json!({
            "op": "upload", "bucket": "alice-photos", "key": "parts", "body": hex(&body), "part_size": PART, "checksum": "CRC32",
        });
        boto.0.call(upload).await.unwrap();
        let got = boto.ok("get_object", json!({"Bucket": "alice-photos", "Key": "parts"})).await;
        assert!(got["Body"] == hex(&body), "the body differs");
        bench.running.stop().await;
    });
}

#[test]
fn aws_command_copies_syncs_and_presigns() {
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let mut boto = bench.boto(&format!("{name}-rw")).await;
            let at = |key: &str| format!("s3://{name}-photos/{key}");
            let body = bytes((16 << 20) + 17);
            boto.aws(&["s3", "cp", "-", &at("large")], &body).await;
            assert!(boto.aws(&["s3", "cp", &at("large"), "-"], b"").await == hex(&body), "{name}: the body differs");
            let folder = tempfile::tempdir().unwrap();
            for file in ["one", "two"] {
                std::fs::write(folder.path().join(file), file).unwrap();
            }
            let path = folder.path().to_str().unwrap();
            boto.aws(&["s3", "sync", path, &at("folder/")], b"").await;
            let listed = boto.aws(&["s3", "ls", "--recursive", &at("")], b"").await;
            let listed = String::from_utf8(unhex(&listed)).unwrap();
            for key in ["folder/one", "folder/two", "large"] {
                assert!(listed.contains(key), "{listed}");
            }
            boto.aws(&["s3", "mv", &at("folder/one"), &at("moved")], b"").await;
            assert_eq!(boto.aws(&["s3", "cp", &at("moved"), "-"], b"").await, hex(b"one"));
            let url = boto.aws(&["s3", "presign", &at("moved")], b"").await;
            let url = String::from_utf8(unhex(&url)).unwrap();
            let got = sandbucket_tests::plain::fetch("GET", url.trim(), &[], "").await.unwrap();
            assert_eq!((got.status, got.body.as_ref()), (200, &b"one"[..]));
            boto.aws(&["s3", "rm", "--recursive", &at("")], b"").await;
            let left = boto.ok("list_objects_v2", json!({"Bucket": format!("{name}-photos")})).await;
            assert_eq!(left["KeyCount"], 0);
        }
        bench.running.stop().await;
    });
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}
