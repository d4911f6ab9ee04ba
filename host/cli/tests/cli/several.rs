//! Subcommands on many blobs: ls, cp, rm --recursive, du, and their arguments.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::Bench;

/// The files below a folder, with their contents.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// Writes files with unusual names, one of them with several parts.
fn plant(folder: &Path) {
    for (name, body) in [
        ("a.txt", b"one".to_vec()),
        ("empty", vec![]),
        ("b c/d+%é.json", b"{}".to_vec()),
        ("b c/~$&=#?/x", vec![0, 1, 2, 255]),
        ("large.bin", (0..20 << 20).map(|n: u32| (n / 3) as u8).collect()),
    ] {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, body).unwrap();
    }
}

/// Each line of the output, parsed as JSON.
fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_round_trips_through_the_store() {
    let bench = Bench::start().await;
    plant(&bench.path("src"));
    let up = bench.run(&["cp", "--recursive", "src", "store:backup/2026"]).await;
    let up = up.ends_with(0);
    assert!(up.stderr().contains("copied 5 of 5"), "{}", up.stderr());
    let listed = bench.run(&["ls", "--recursive", "--json", "backup/"]).await;
    let keys: Vec<_> = lines(&listed.stdout()).iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys[0], "backup/2026/a.txt");
    assert_eq!(keys.len(), 5);
    bench.run(&["cp", "--recursive", "store:backup/2026/", "restored"]).await.ends_with(0);
    assert_eq!(tree(&bench.path("restored")), tree(&bench.path("src")));
    // Placeholders of folders, as other programs write them, are not files.
    bench.run_with(&["put", "backup/2026/marker/"], b"").await.ends_with(0);
    bench.run(&["cp", "--recursive", "store:backup/2026", "again"]).await.ends_with(0);
    assert_eq!(tree(&bench.path("again")), tree(&bench.path("src")));
    // Copies by the service, from one folder to another; and a single blob, to a folder and to standard output.
    bench.run(&["cp", "-r", "store:backup", "store:copy"]).await.ends_with(0);
    bench.run(&["cp", "store:copy/2026/a.txt", "."]).await.ends_with(0);
    assert_eq!(std::fs::read(bench.path("a.txt")).unwrap(), b"one");
    let out = bench.run(&["cp", "store:copy/2026/b c/d+%é.json", "-"]).await;
    assert_eq!(out.stdout(), "{}");
    bench.run_with(&["cp", "-", "store:piped"], b"from a pipe").await.ends_with(0);
    assert_eq!(bench.run(&["get", "piped"]).await.stdout(), "from a pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_copies_changed_files_only() {
    let bench = Bench::start().await;
    plant(&bench.path("src"));
    let copied = async |arguments: &[&str]| {
        let ran = bench.run(&[&["cp", "--recursive", "--newer", "--json"], arguments].concat()).await;
        let ran = ran.ends_with(0);
        let reported = lines(&ran.stdout());
        let mut names: Vec<String> =
            reported.iter().filter_map(|line| Some(line["from"].as_str()?.to_owned())).collect();
        names.sort();
        names
    };
    assert_eq!(copied(&["src", "store:"]).await.len(), 5);
    assert_eq!(copied(&["src", "store:"]).await, Vec::<String>::new());
    std::fs::write(bench.path("src/a.txt"), "another length").unwrap();
    std::fs::write(bench.path("src/new"), "x").unwrap();
    let later = SystemTime::now() + Duration::from_secs(60);
    std::fs::File::options().write(true).open(bench.path("src/empty")).unwrap().set_modified(later).unwrap();
    let planned = bench.run(&["cp", "-r", "--newer", "--dry-run", "src", "store:"]).await;
    assert_eq!(planned.stdout().lines().count(), 3, "{}", planned.stdout());
    assert_eq!(copied(&["src", "store:"]).await, ["src/a.txt", "src/empty", "src/new"]);
    assert_eq!(copied(&["store:", "back"]).await.len(), 6);
    assert_eq!(copied(&["store:", "back"]).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_not_written_outside_the_folder() {
    let bench = Bench::start().await;
    for key in ["in/ok", "in/../evil", "in//evil", "in/a/../../evil", "in/./evil"] {
        bench.run_with(&["put", key], b"x").await.ends_with(0);
    }
    let ran = bench.run(&["cp", "--recursive", "store:in", "out/deep"]).await;
    let ran = ran.ends_with(1);
    assert_eq!(tree(&bench.path("out")).into_keys().collect::<Vec<_>>(), ["deep/ok"]);
    assert!(!bench.path("evil").exists() && !bench.path("out/evil").exists());
    assert!(
        ran.stderr().contains("cannot be a file below") && ran.stderr().contains("4 of 5 failed"),
        "{}",
        ran.stderr()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_source_is_an_error() {
    let bench = Bench::start().await;
    for arguments in
        [&["cp", "-r", "no-such-folder", "store:x"][..], &["cp", "-r", "--newer", "no-such-folder", "store:x"]]
    {
        let ran = bench.run(arguments).await.ends_with(1);
        assert!(ran.stderr().contains("reading no-such-folder: "), "{}", ran.stderr());
    }
    // The target may be created.
    bench.run_with(&["put", "d/a"], b"x").await.ends_with(0);
    bench.run(&["cp", "-r", "--newer", "store:d", "new"]).await.ends_with(0);
    assert_eq!(tree(&bench.path("new")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_file_does_not_stop_the_others() {
    let bench = Bench::start().await;
    std::fs::create_dir(bench.path("src")).unwrap();
    let long = "n".repeat(200);
    for name in ["a", "b", &long] {
        std::fs::write(bench.path("src").join(name), "x").unwrap();
    }
    // With this prefix, one key exceeds S3's limit.
    let ran = bench.run(&["cp", "-r", "src", &format!("store:{}", "p".repeat(900))]).await;
    let ran = ran.ends_with(1);
    assert!(ran.stderr().contains("1,024") && ran.stderr().contains("copied 2 of 3"), "{}", ran.stderr());
    let wrong = bench.run(&["cp", "a", "b"]).await;
    let wrong = wrong.ends_with(2);
    assert!(wrong.stderr().contains("store:KEY"), "{}", wrong.stderr());
    bench.run(&["cp", "store:nothing", "x"]).await.ends_with(3);
    bench.run(&["cp", "src", "store:x"]).await.ends_with(2);
    assert!(!bench.path("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn config_option_selects_another_store() {
    let bench = Bench::start().await;
    let section = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    std::fs::write(bench.path("other.toml"), format!("{section}key-prefix = \"other/\"\n")).unwrap();
    bench
        .run_with(&["put", "k", "-t", "text/x-a", "-m", "a=1", "-a", "cache-control=no-store"], b"body")
        .await
        .ends_with(0);
    bench.run(&["cp", "store:k", "store:l", "--to-config", "other.toml"]).await.ends_with(0);
    let head: Value = serde_json::from_str(&bench.run(&["head", "other/l", "--json"]).await.stdout()).unwrap();
    assert_eq!(head["content-type"], "text/x-a");
    assert_eq!(head["metadata"]["a"], "1");
    assert_eq!(head["attributes"]["cache-control"], "no-store");
    assert_eq!(bench.run(&["get", "other/l"]).await.stdout(), "body");
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_recursive_prompts_or_requires_yes() {
    let bench = Bench::start().await;
    for key in ["d/1", "d/2", "e"] {
        bench.run_with(&["put", key], b"x").await.ends_with(0);
    }
    // There is no terminal.
    let unconfirmed = bench.run_with(&["rm", "--recursive", "d/"], b"y\n").await;
    let unconfirmed = unconfirmed.ends_with(2);
    assert!(
        unconfirmed.stderr().contains("2 blobs") && unconfirmed.stderr().contains("--yes"),
        "{}",
        unconfirmed.stderr()
    );
    bench.run(&["rm", "-r", "d/", "d/1", "--yes"]).await.ends_with(0);
    let left = bench.run(&["ls", "-r", "--json"]).await;
    assert_eq!(lines(&left.stdout()).len(), 1);
    bench.run(&["rm", "-r", "no such", "--yes"]).await.ends_with(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ls_and_du_show_folders_and_totals() {
    let bench = Bench::start().await;
    for (key, size) in [("a", 1), ("f/1", 10), ("f/g/2", 100), ("h/3", 1000)] {
        bench.run_with(&["put", key], &vec![b'x'; size]).await.ends_with(0);
    }
    let listed = bench.run(&["ls"]).await.stdout();
    assert_eq!(listed.lines().filter(|line| line.contains("folder")).count(), 2, "{listed}");
    assert!(listed.contains("f/") && listed.contains(" a\n") && !listed.contains("f/1"), "{listed}");
    let versions = lines(&bench.run(&["ls", "--versions", "--json", "f/"]).await.stdout());
    assert!(versions.len() == 2 && versions.iter().all(|entry| entry["latest"] == true), "{versions:?}");
    let sums = lines(&bench.run(&["du", "--depth", "1", "--json"]).await.stdout());
    let reported: Vec<_> =
        sums.iter().map(|sum| (sum["prefix"].as_str().unwrap(), sum["bytes"].as_u64().unwrap())).collect();
    assert_eq!(reported, [("", 1111), ("f/", 110), ("h/", 1000)]);
    assert!(bench.run(&["du", "f/"]).await.stdout().contains("2 blobs  f/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_url_is_printed_and_works() {
    use http_body_util::BodyExt;
    let bench = Bench::start().await;
    bench.run_with(&["put", "k é"], b"for anybody").await.ends_with(0);
    let reported =
        bench.run(&["presign", "k é", "--expires", "1m", "-a", "response-content-type=text/x-a", "--json"]).await;
    let reported: Value = serde_json::from_str(&reported.stdout()).unwrap();
    assert_eq!(reported["method"], "GET");
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request =
        http::Request::get(reported["url"].as_str().unwrap()).body(http_body_util::Empty::<bytes::Bytes>::new());
    let response = client.request(request.unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["content-type"].as_bytes()), (200, &b"text/x-a"[..]));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "for anybody");
    let put = bench.run(&["presign", "k", "-m", "put", "--header", "content-type=text/plain"]).await;
    assert!(
        put.stdout().starts_with("http://") && put.stderr().contains("content-type: text/plain"),
        "{}",
        put.stderr()
    );
    bench.run(&["presign", "k", "--expires", "8d"]).await.ends_with(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn further_options_reach_the_request() {
    let bench = Bench::start().await;
    for key in ["k", "l", "d/1", "d/2"] {
        bench.run_with(&["put", key], b"x").await.ends_with(0);
    }
    for call in [
        &["get", "k"][..],
        &["head", "k"],
        &["ls"],
        &["ls", "--versions"],
        &["tags", "k"],
        &["tags", "k", "--set", "a=1"],
        &["uploads"],
        &["mv", "k", "m"],
        &["rm", "m"],
        &["rm", "l", "k"],
        &["rm", "-r", "--yes", "d/"],
    ] {
        let refused = bench.run(&[call, &["-a", "no-such=1"]].concat()).await.ends_with(2);
        assert!(refused.stderr().contains("no-such"), "{}", refused.stderr());
        bench.run(&[call, &["-a", "request-payer=true"]].concat()).await.ends_with(0);
    }
    assert_eq!(bench.run(&["ls", "-r"]).await.ends_with(0).stdout(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_deletes_a_single_version() {
    let bench = Bench::start().await;
    for key in ["a", "b"] {
        bench.run_with(&["put", key], b"x").await.ends_with(0);
    }
    let both = bench.run(&["rm", "a", "b", "--version-id", "v"]).await.ends_with(2);
    assert!(both.stderr().contains("one key"), "{}", both.stderr());
    bench.run(&["rm", "-r", "a", "--version-id", "v"]).await.ends_with(2);
    // An invalid version is rejected before a request.
    let wrong = bench.run(&["rm", "a", "--version-id", "\t"]).await.ends_with(2);
    assert!(wrong.stderr().contains("version"), "{}", wrong.stderr());
    assert_eq!(bench.run(&["ls"]).await.stdout().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_shown_set_and_cleared() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k", "-a", "tags=old=1"], b"x").await.ends_with(0);
    assert_eq!(bench.run(&["tags", "k"]).await.ends_with(0).stdout(), "old=1\n");
    let set = bench.run(&["tags", "k", "--set", "a=b=c", "-s", "é=", "--json"]).await.ends_with(0).json();
    assert_eq!(set["tags"], serde_json::json!({ "a": "b=c", "é": "" }));
    let reported = bench.run(&["tags", "k", "--json"]).await.ends_with(0).json();
    assert_eq!((reported["key"].as_str(), &reported["tags"]), (Some("k"), &set["tags"]));
    bench.run(&["tags", "k", "--set", "a=1", "--clear"]).await.ends_with(2);
    bench.run(&["tags", "k", "--clear"]).await.ends_with(0);
    assert_eq!(bench.run(&["tags", "k"]).await.ends_with(0).stdout(), "");
    bench.run(&["tags", "nothing"]).await.ends_with(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn mv_moves_the_blob() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "d/k", "-m", "a=1"], b"body").await.ends_with(0);
    bench.run_with(&["put", "there"], b"x").await.ends_with(0);
    let moved = bench.run(&["mv", "d/k", "e/", "--json"]).await.ends_with(0).json();
    assert_eq!((moved["from"].as_str(), moved["to"].as_str()), (Some("d/k"), Some("e/k")));
    bench.run(&["head", "d/k"]).await.ends_with(3);
    assert_eq!(bench.run(&["get", "e/k"]).await.stdout(), "body");
    bench.run(&["mv", "e/k", "there", "--if-absent"]).await.ends_with(4);
    bench.run(&["mv", "e/k", "there", "--if-match", "\"other\""]).await.ends_with(4);
    let moved = bench.run(&["mv", "e/k", "there"]).await.ends_with(0);
    assert!(moved.stderr().contains("e/k is now there"), "{}", moved.stderr());
    bench.run(&["mv", "e/k", "there"]).await.ends_with(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_uploads_are_listed_and_aborted() {
    let bench = Bench::start().await;
    let engine = sandbucket::Engine::new(sandbucket::Limits::default()).unwrap();
    let store = sandbucket::Config::load(bench.path("sandbucket.toml")).unwrap().open(&engine).await.unwrap();
    for key in ["d/a", "d/b", "e"] {
        store.create_upload(key).await.unwrap();
    }
    let listed = lines(&bench.run(&["uploads", "d/", "--json"]).await.ends_with(0).stdout());
    assert_eq!(listed.iter().map(|upload| upload["key"].as_str().unwrap()).collect::<Vec<_>>(), ["d/a", "d/b"]);
    assert!(listed.iter().all(|upload| upload["id"].is_string() && upload["initiated"].is_string()), "{listed:?}");
    assert_eq!(bench.run(&["uploads"]).await.ends_with(0).stdout().lines().count(), 3);
    // There is no terminal.
    let unconfirmed = bench.run_with(&["uploads", "d/", "--abort"], b"y\n").await.ends_with(2);
    assert!(
        unconfirmed.stderr().contains("2 uploads") && unconfirmed.stderr().contains("--yes"),
        "{}",
        unconfirmed.stderr()
    );
    let aborted = bench.run(&["uploads", "d/", "--abort", "--yes", "--json"]).await.ends_with(0).json();
    assert_eq!(aborted["aborted"].as_array().unwrap().len(), 2);
    assert_eq!(lines(&bench.run(&["uploads", "--json"]).await.stdout())[0]["key"], "e");
    bench.run(&["uploads", "none/", "--abort"]).await.ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manuals_cover_every_subcommand() {
    let bench = Bench::start().await;
    bench.run(&["man", "pages"]).await.ends_with(0);
    let all = [
        "put",
        "get",
        "head",
        "rm",
        "ls",
        "cp",
        "mv",
        "du",
        "tags",
        "uploads",
        "presign",
        "check",
        "settings",
        "dev-server",
        "demo",
    ];
    let page = bench.run(&["man"]).await.stdout();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = bench.run(&["completions", shell]).await.stdout();
        for name in all {
            assert!(script.contains(name), "{name} is not in the completions for {shell}");
        }
    }
    for name in all {
        assert!(page.replace("\\-", "-").contains(&format!("sandbucket-{name}")), "{name} is not in the manual");
        let own = std::fs::read_to_string(bench.path(&format!("pages/sandbucket-{name}.1"))).unwrap();
        assert!(own.contains(".SH SYNOPSIS"), "{name}");
    }
}
