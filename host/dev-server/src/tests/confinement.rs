//! The server stays in its folder: links, FIFOs and sockets in it are no blobs, buckets or side files.

use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

/// Content outside the server's folder.
const SECRET: &str = "outside";

/// A server, its folder, and an unrelated folder beside it.
struct Bench {
    asker: Asker,
    data: PathBuf,
    outside: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, outside) = (folder.path().join("data"), folder.path().join("outside"));
        std::fs::create_dir_all(outside.join("folder")).unwrap();
        for file in ["secret", "k", "folder/k", "folder/secret"] {
            std::fs::write(outside.join(file), SECRET).unwrap();
        }
        let server = DevServer::builder().anonymous(true).folder(&data).buckets(["one"]).min_part(1);
        let server = server.start().await.unwrap();
        let asker = Asker { server, client: Client::builder(TokioExecutor::new()).build_http() };
        Bench { asker, data, outside, _folder: folder }
    }

    async fn get(&self, path: &str) -> Response {
        self.asker.get(path, &[]).await
    }

    async fn post(&self, path: &str, body: &str) -> Response {
        self.asker.ask(Method::POST, path, &[], body).await
    }

    async fn delete(&self, path: &str) -> Response {
        self.asker.ask(Method::DELETE, path, &[], "").await
    }

    /// Writes a key as a multipart upload.
    async fn upload(&self, path: &str, body: &str) -> Response {
        let begun = self.post(&format!("{path}?uploads"), "").await;
        if begun.status != 200 {
            return begun;
        }
        let id = between(&begun, "<UploadId>", "</UploadId>");
        let part = self.asker.put(&format!("{path}?partNumber=1&uploadId={id}"), &[], body).await;
        assert_eq!(part.status, 200, "{}", part.error());
        let tag = part.header("etag");
        let parts = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
        );
        self.post(&format!("{path}?uploadId={id}"), &parts).await
    }

    /// Asserts that nothing outside was written, added or removed.
    #[track_caller]
    fn outside_is_untouched(&self) {
        let mut found = Vec::new();
        let mut folders = vec![self.outside.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert_eq!(std::fs::read_to_string(&path).unwrap(), SECRET, "{path:?}");
                    found.push(path);
                }
            }
        }
        assert_eq!(found.len(), 4, "{found:?}");
    }
}

fn between(response: &Response, before: &str, after: &str) -> String {
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let text = body.split(before).nth(1).and_then(|rest| rest.split(after).next());
    text.unwrap_or_else(|| panic!("no {before} in {body}")).to_owned()
}

/// Fails after a timeout: opening a FIFO blocks until somebody writes.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("an operation hangs")
}

/// A kind of file and how to create it at a path.
type Plant = (&'static str, fn(&Bench, &Path));

const IRREGULAR: [Plant; 9] = [
    ("link to a file outside", |bench, at| symlink(bench.outside.join("secret"), at).unwrap()),
    ("relative link to a file outside", |_, at| symlink("../../outside/secret", at).unwrap()),
    ("link to a folder outside", |bench, at| symlink(bench.outside.join("folder"), at).unwrap()),
    ("link to a blob inside", |_, at| symlink("regular", at).unwrap()),
    ("link to its own bucket", |_, at| symlink(".", at).unwrap()),
    ("dangling link", |bench, at| symlink(bench.outside.join("absent"), at).unwrap()),
    ("link to itself", |_, at| symlink(at.file_name().unwrap(), at).unwrap()),
    ("FIFO", |_, at| {
        let made = std::process::Command::new("mkfifo").arg(at).status().unwrap();
        assert!(made.success());
    }),
    ("socket", |bench, at| {
        // The path of a socket must be shorter than that of a side file.
        let short = bench.data.join(".socket");
        drop(UnixListener::bind(&short).unwrap());
        std::fs::rename(short, at).unwrap();
    }),
];

#[tokio::test]
async fn irregular_files_in_a_bucket_are_not_read_listed_or_deleted() {
    let bench = Bench::start().await;
    bench.asker.put("one/regular", &[], "inside").await;
    for (what, plant) in IRREGULAR {
        let at = bench.data.join("one/k");
        plant(&bench, &at);
        in_time(async {
            assert_eq!(bench.get("one/k").await.error(), "404 NoSuchKey", "get of a {what}");
            assert_eq!(bench.asker.get("one/k", &[("range", "bytes=0-1")]).await.error(), "404 NoSuchKey", "{what}");
            assert_eq!(bench.asker.ask(Method::HEAD, "one/k", &[], "").await.status, 404, "head of a {what}");
            assert_eq!(bench.get("one/k?tagging").await.error(), "404 NoSuchKey", "tags of a {what}");
            let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
            assert_eq!(bench.asker.put("one/k?tagging", &[], tags).await.error(), "404 NoSuchKey", "{what}");
            let source = [("x-amz-copy-source", "one/k")];
            assert_eq!(bench.asker.put("one/copy", &source, "").await.error(), "404 NoSuchKey", "copy of a {what}");
            let begun = bench.post("one/copy?uploads", "").await;
            let id = between(&begun, "<UploadId>", "</UploadId>");
            let part = format!("one/copy?partNumber=1&uploadId={id}");
            assert_eq!(bench.asker.put(&part, &source, "").await.error(), "404 NoSuchKey", "part of a {what}");
            for list in ["one?list-type=2", "one", "one?versions"] {
                let listed = bench.get(list).await;
                let text = String::from_utf8_lossy(&listed.body).into_owned();
                assert_eq!((listed.status.as_u16(), text.contains("<Key>k</Key>")), (200, false), "{what}: {text}");
                assert!(text.contains("<Key>regular</Key>"), "{what}: {text}");
            }
            assert_eq!(bench.delete("one/k").await.status, 204, "delete of a {what}");
            let several = "<Delete><Object><Key>k</Key></Object></Delete>";
            assert_eq!(bench.post("one?delete", several).await.status, 200, "delete of a {what}");
            assert_eq!(bench.asker.put("one/k", &[("if-match", "\"x\"")], "x").await.error(), "404 NoSuchKey");
        })
        .await;
        assert!(at.symlink_metadata().is_ok(), "the {what} was deleted");
        bench.outside_is_untouched();
        std::fs::remove_file(&at).unwrap();
    }
    assert_eq!(bench.get("one/regular").await.body, "inside");
}

#[tokio::test]
async fn writes_replace_irregular_files_and_not_their_targets() {
    let bench = Bench::start().await;
    bench.asker.put("one/regular", &[], "inside").await;
    for (what, plant) in IRREGULAR {
        let at = bench.data.join("one/k");
        let planted = |way: &str| {
            let _ = std::fs::remove_file(&at);
            plant(&bench, &at);
            format!("{way} over a {what}")
        };
        in_time(async {
            let about = planted("put");
            assert_eq!(bench.asker.put("one/k", &[("if-none-match", "*")], "new").await.status, 200, "{about}");
            assert_eq!(bench.get("one/k").await.body, "new", "{about}");
            let about = planted("copy");
            let copied = bench.asker.put("one/k", &[("x-amz-copy-source", "one/regular")], "").await;
            assert_eq!(copied.status, 200, "{about}: {}", copied.error());
            assert_eq!(bench.get("one/k").await.body, "inside", "{about}");
            let about = planted("upload");
            let completed = bench.upload("one/k", "in parts").await;
            assert_eq!(completed.status, 200, "{about}: {}", completed.error());
            assert_eq!(bench.get("one/k").await.body, "in parts", "{about}");
        })
        .await;
        assert!(at.symlink_metadata().unwrap().is_file(), "{what}");
        bench.outside_is_untouched();
        assert_eq!(bench.get("one/regular").await.body, "inside", "{what}");
        assert_eq!(bench.delete("one/k").await.status, 204);
    }
}

#[tokio::test]
async fn symlink_is_not_a_bucket() {
    let bench = Bench::start().await;
    for target in [bench.outside.clone(), bench.data.join("one"), "one".into(), "../outside".into(), "absent".into()] {
        let at = bench.data.join("two");
        symlink(&target, &at).unwrap();
        for path in ["two/k", "two/secret", "two?list-type=2", "two?versions", "two?location", "two?uploads"] {
            assert_eq!(bench.get(path).await.error(), "404 NoSuchBucket", "{path} in {target:?}");
        }
        assert_eq!(bench.asker.ask(Method::HEAD, "two", &[], "").await.status, 404);
        assert_eq!(bench.asker.put("two/new", &[], "x").await.error(), "404 NoSuchBucket");
        assert_eq!(bench.post("two/new?uploads", "").await.error(), "404 NoSuchBucket");
        let copied = bench.asker.put("one/copy", &[("x-amz-copy-source", "two/secret")], "").await;
        assert_eq!(copied.error(), "404 NoSuchBucket");
        assert_eq!(bench.delete("two/k").await.error(), "404 NoSuchBucket");
        assert_eq!(bench.delete("two").await.error(), "404 NoSuchBucket");
        assert_eq!(bench.asker.put("two", &[], "").await.error(), "409 BucketAlreadyExists");
        let buckets = String::from_utf8_lossy(&bench.get("").await.body).into_owned();
        assert!(buckets.contains("<Name>one</Name>") && !buckets.contains("<Name>two</Name>"), "{buckets}");
        let error = DevServer::builder().folder(&bench.data).buckets(["two"]).start().await.unwrap_err();
        assert!(error.to_string().contains("two"), "{error}");
        bench.outside_is_untouched();
        std::fs::remove_file(at).unwrap();
    }
}

#[tokio::test]
async fn symlink_is_not_a_folder_of_a_key() {
    let bench = Bench::start().await;
    symlink(&bench.outside, bench.data.join("one/folder")).unwrap();
    for key in ["folder/secret", "folder//secret", "folder/folder/k", "folder%2Fsecret", "..%2F..%2Foutside%2Fsecret"] {
        assert_eq!(bench.get(&format!("one/{key}")).await.error(), "404 NoSuchKey", "{key}");
        assert_eq!(bench.asker.put(&format!("one/{key}"), &[], "new").await.status, 200, "{key}");
        assert_eq!(bench.get(&format!("one/{key}")).await.body, "new", "{key}");
        assert_eq!(bench.delete(&format!("one/{key}")).await.status, 204, "{key}");
    }
    bench.outside_is_untouched();
}

#[tokio::test]
async fn irregular_side_files_are_not_read_or_written_through() {
    let bench = Bench::start().await;
    std::fs::write(bench.outside.join("secret"), SECRET).unwrap();
    for (what, plant) in IRREGULAR {
        let long = "k".repeat(200);
        for key in ["k", long.as_str()] {
            let path = format!("one/{key}");
            bench.asker.put(&path, &[("x-amz-meta-a", "b"), ("x-amz-tagging", "a=b")], "body").await;
            let mut side_files = Vec::new();
            for folder in ["", ".extras/one", ".long-keys"] {
                let Ok(entries) = std::fs::read_dir(bench.data.join(folder)) else { continue };
                side_files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
            }
            assert!(side_files.len() >= 3, "{side_files:?}");
            for at in &side_files {
                std::fs::remove_file(at).unwrap();
                plant(&bench, at);
            }
            in_time(async {
                let got = bench.get(&path).await;
                assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"body"[..]), "{what}");
                assert_eq!(got.header("x-amz-meta-a"), "", "{what}");
                assert_eq!(bench.get("one?list-type=2").await.status, 200, "{what}");
                assert_eq!(bench.asker.put(&path, &[("x-amz-meta-a", "c")], "again").await.status, 200, "{what}");
                let got = bench.get(&path).await;
                assert_eq!((&got.body[..], got.header("x-amz-meta-a")), (&b"again"[..], "c"), "{what}");
                assert_eq!(bench.delete(&path).await.status, 204, "{what}");
            })
            .await;
            bench.outside_is_untouched();
            for at in side_files {
                let _ = std::fs::remove_file(at);
            }
        }
    }
}

#[tokio::test]
async fn symlinked_side_folders_are_neither_used_nor_emptied() {
    let bench = Bench::start().await;
    let long = format!("one/{}", "k".repeat(200));
    for (name, path) in [(".extras", "one/k"), (".long-keys", long.as_str()), (".uploads", "one/k")] {
        let at = bench.data.join(name);
        let _ = std::fs::remove_dir_all(&at);
        symlink(&bench.outside, &at).unwrap();
        let response = match name {
            ".uploads" => bench.upload(path, "x").await,
            _ => bench.asker.put(path, &[], "x").await,
        };
        assert_eq!(response.status, 500, "{name}: {}", response.error());
        // On start the server removes leftovers, but not there.
        let again = DevServer::builder().folder(&bench.data).buckets(["one"]).start().await.unwrap();
        again.stop().await;
        assert!(at.symlink_metadata().unwrap().is_symlink(), "{name}");
        bench.outside_is_untouched();
        std::fs::remove_file(at).unwrap();
    }
    assert_eq!(bench.asker.put("one/k", &[], "x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn symlink_swapped_in_during_a_request_is_not_followed() {
    let bench = Bench::start().await;
    bench.asker.put("one/k", &[], "inside").await;
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, data, outside) = (stop.clone(), bench.data.clone(), bench.outside.clone());
        move || {
            let (file, spare) = (data.join("one/k"), data.join("one/.spare"));
            let (bucket, away) = (data.join("one"), data.join(".away"));
            while !stop.load(Ordering::Relaxed) {
                // First a blob, then a whole bucket.
                std::fs::rename(&file, &spare).unwrap();
                symlink(outside.join("secret"), &file).unwrap();
                std::fs::rename(&spare, &file).unwrap();
                std::fs::rename(&bucket, &away).unwrap();
                symlink(&outside, &bucket).unwrap();
                std::fs::remove_file(&bucket).unwrap();
                std::fs::rename(&away, &bucket).unwrap();
            }
        }
    });
    for _ in 0..400 {
        let got = bench.get("one/k").await;
        assert_ne!(got.body, SECRET);
        let listed = bench.get("one?list-type=2").await;
        assert!(!String::from_utf8_lossy(&listed.body).contains("<Key>secret</Key>"));
        bench.asker.put("one/new", &[], "x").await;
        bench.delete("one/secret").await;
        bench.delete("one/new").await;
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    bench.outside_is_untouched();
    // The race replaced nothing else.
    let kind = bench.data.join("one/k").symlink_metadata().unwrap().file_type();
    assert!(kind.is_file() && !kind.is_fifo() && !kind.is_socket());
}
