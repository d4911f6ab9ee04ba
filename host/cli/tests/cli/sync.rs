//! `sync` and `cp --recursive --newer`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Bench;

fn write(bench: &Bench, name: &str, body: &str) -> PathBuf {
    let file = bench.path(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, body).unwrap();
    file
}

fn set_modified(file: &Path, time: SystemTime) {
    std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

fn modified(file: &Path) -> SystemTime {
    std::fs::metadata(file).unwrap().modified().unwrap()
}

/// Names below a folder, in order.
fn files(folder: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

async fn keys(bench: &Bench, prefix: &str) -> Vec<String> {
    let listed = bench.run(&["ls", "--recursive", "--json", prefix]).await.stdout();
    let key = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].as_str().unwrap().to_owned();
    listed.lines().map(|line| key(line)[prefix.len()..].to_owned()).collect()
}

/// The number of copies.
async fn copied(bench: &Bench, arguments: &[&str]) -> u64 {
    let ran = bench.run(&[&["--json"], arguments].concat()).await.ends_with(0);
    let summary = ran.stdout().lines().last().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    summary.unwrap()["copied"].as_u64().unwrap()
}

const NAMES: [&str; 8] = ["a", "a-b", "b/c/d", "b/c-d", "b0", "b.d/x", "é/new\nline", "large"];

fn plant(bench: &Bench, folder: &str) {
    for name in NAMES {
        write(bench, &format!("{folder}/{name}"), if name == "large" { "" } else { name });
    }
    std::fs::write(bench.path(folder).join("large"), vec![7; 20 << 20]).unwrap();
    for name in NAMES {
        set_modified(&bench.path(folder).join(name), SystemTime::now() - Duration::from_secs(3600));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_files_are_current_in_both_directions() {
    let bench = Bench::start().await;
    plant(&bench, "src");
    assert_eq!(copied(&bench, &["sync", "src", "store:x"]).await, 8);
    for call in [&["sync"][..], &["cp", "-r", "--newer"]] {
        assert_eq!(copied(&bench, &[call, &["src", "store:x"]].concat()).await, 0, "{call:?}");
        // The blobs are newer than the files, but have the same content.
        let planned = bench.run(&[call, &["--dry-run", "store:x", "src"]].concat()).await.ends_with(0);
        assert_eq!(planned.stdout(), "", "{call:?}");
        assert_eq!(copied(&bench, &[call, &["store:x", "src"]].concat()).await, 0, "{call:?}");
    }
    assert_eq!(copied(&bench, &["sync", "store:x", "back"]).await, 8);
    for call in [&["sync"][..], &["cp", "-r", "--newer"]] {
        assert_eq!(copied(&bench, &[call, &["store:x", "back"]].concat()).await, 0, "{call:?}");
        assert_eq!(copied(&bench, &[call, &["back", "store:x"]].concat()).await, 0, "{call:?}");
    }
    // Within the store, too.
    assert_eq!(copied(&bench, &["sync", "store:x", "store:y"]).await, 8);
    assert_eq!(copied(&bench, &["sync", "store:x", "store:y"]).await, 0);
    // A touched file is newer; a shorter one differs.
    set_modified(&bench.path("back/a"), SystemTime::now() + Duration::from_secs(60));
    write(&bench, "back/b0", "longer than before");
    assert_eq!(copied(&bench, &["sync", "--size-only", "--dry-run", "back", "store:x"]).await, 1);
    assert_eq!(copied(&bench, &["sync", "back", "store:x"]).await, 2);
    // A blob with other content is newer, too.
    set_modified(&bench.path("back/a-b"), SystemTime::now() - Duration::from_secs(3600));
    write(&bench, "new", "b-a");
    bench.run(&["put", "x/a-b", "new"]).await.ends_with(0);
    assert_eq!(copied(&bench, &["sync", "store:x", "back"]).await, 1);
    assert_eq!(std::fs::read_to_string(bench.path("back/a-b")).unwrap(), "b-a");
}

#[tokio::test(flavor = "multi_thread")]
async fn downloaded_files_have_the_blobs_date() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"body").await.ends_with(0);
    let head = bench.run(&["head", "k"]).await.stdout();
    // Later, so that a new file would have another date.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for (call, file) in [
        (&["get", "k", "got"][..], "got"),
        (&["cp", "store:k", "copied"], "copied"),
        (&["cp", "-r", "store:", "all"], "all/k"),
        (&["sync", "store:", "synced"], "synced/k"),
    ] {
        bench.run(call).await.ends_with(0);
        let age = SystemTime::now().duration_since(modified(&bench.path(file))).unwrap();
        assert!(age > Duration::from_secs(1), "{call:?}: {age:?}, {head}");
        assert_eq!(modified(&bench.path(file)), modified(&bench.path("got")), "{call:?}");
    }
    bench.run(&["get", "k", "part", "--range", "0-1"]).await.ends_with(0);
    assert_ne!(modified(&bench.path("part")), modified(&bench.path("got")), "a part is a file of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_with_delete_removes_extraneous_files() {
    let bench = Bench::start().await;
    plant(&bench, "src");
    bench.run(&["sync", "src", "store:x"]).await.ends_with(0);
    bench.run(&["sync", "store:x", "back"]).await.ends_with(0);
    for name in ["a!", "b/c/e", "z", "new\nline", "keep.log"] {
        bench.run_with(&["put", &format!("x/{name}")], b"extra").await.ends_with(0);
        write(&bench, &format!("back/{name}"), "extra");
    }
    // A key that merely has the folder's name as a prefix is outside it.
    bench.run_with(&["put", "xy"], b"outside").await.ends_with(0);
    write(&bench, "outside", "outside");
    for (from, to) in [("src", "store:x"), ("store:y", "back")] {
        bench.run(&["cp", "-r", "src", "store:y"]).await.ends_with(0);
        bench.run(&["sync", from, to]).await.ends_with(0);
        assert_eq!((keys(&bench, "x/").await.len(), files(&bench.path("back")).len()), (13, 13));
        let planned = bench.run(&["sync", "--delete", "--dry-run", "--exclude", "*.log", from, to]).await.ends_with(0);
        assert_eq!(
            planned.stdout().lines().filter(|line| line.starts_with("delete ")).count(),
            4,
            "{}",
            planned.stdout()
        );
        assert_eq!((keys(&bench, "x/").await.len(), files(&bench.path("back")).len()), (13, 13));
        let ran = bench.run(&["sync", "--delete", "--quiet", "--exclude", "*.log", from, to]).await.ends_with(0);
        assert_eq!((ran.stdout(), ran.stderr()), (String::new(), String::new()));
        let mut expected: Vec<_> = NAMES.iter().chain(&["keep.log"]).map(|name| (*name).to_owned()).collect();
        expected.sort();
        match to {
            "back" => assert_eq!(files(&bench.path("back")), expected),
            _ => assert_eq!(keys(&bench, "x/").await, expected),
        }
        // Restores the initial state for the other direction.
        if to == "store:x" {
            for name in ["a!", "b/c/e", "z", "new\nline"] {
                bench.run_with(&["put", &format!("x/{name}")], b"extra").await.ends_with(0);
            }
        }
    }
    // Within the store, with an empty source folder.
    bench.run_with(&["put", "w/extra"], b"extra").await.ends_with(0);
    bench.run(&["sync", "--delete", "store:y", "store:w"]).await.ends_with(0);
    assert_eq!(keys(&bench, "w/").await.len(), NAMES.len());
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.run(&["sync", "--delete", "empty", "store:w"]).await.ends_with(0);
    bench.run(&["ls", "w/"]).await.ends_with(1);
    assert_eq!(bench.run(&["get", "xy"]).await.stdout(), "outside");
    assert!(bench.path("outside").exists());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn sync_deletes_nothing_after_an_error_or_outside_the_target() {
    use std::os::unix::fs::symlink;
    let bench = Bench::start().await;
    write(&bench, "src/a", "a");
    bench.run_with(&["put", "x/old"], b"precious").await.ends_with(0);
    let fails = async |change: &dyn Fn(), undo: &dyn Fn(), word: &str| {
        change();
        let ran = bench.run(&["sync", "--delete", "src", "store:x"]).await.ends_with(1);
        assert!(ran.stderr().contains(word) && ran.stderr().contains("nothing was deleted"), "{}", ran.stderr());
        assert_eq!(bench.run(&["get", "x/old"]).await.stdout(), "precious", "{word}");
        undo();
    };
    let path = |name: &str| bench.path(name);
    let socket = || drop(std::os::unix::net::UnixListener::bind(path("src/socket")).unwrap());
    fails(&socket, &|| std::fs::remove_file(path("src/socket")).unwrap(), "a socket").await;
    fails(
        &|| symlink("nowhere", path("src/broken")).unwrap(),
        &|| std::fs::remove_file(path("src/broken")).unwrap(),
        "broken",
    )
    .await;
    fails(&|| symlink("..", path("src/up")).unwrap(), &|| std::fs::remove_file(path("src/up")).unwrap(), "up").await;
    let not_text = || path("src").join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"));
    fails(&|| std::fs::write(not_text(), "x").unwrap(), &|| std::fs::remove_file(not_text()).unwrap(), "no UTF-8")
        .await;
    // A missing source is a separate error.
    for from in ["missing", "store:missing"] {
        bench.run(&["sync", "--delete", from, "store:x"]).await.ends_with(1);
        assert_eq!(bench.run(&["get", "x/old"]).await.stdout(), "precious");
    }
    // Files that are skipped on purpose are no error.
    socket();
    bench.run(&["sync", "--delete", "--exclude", "socket", "src", "store:x"]).await.ends_with(0);
    assert_eq!(keys(&bench, "x/").await, ["a"]);

    write(&bench, "real/kept", "precious");
    write(&bench, "back/extra", "x");
    symlink("../real", path("back/linked")).unwrap();
    symlink("../real/kept", path("back/link")).unwrap();
    symlink("nowhere", path("back/broken")).unwrap();
    bench.run(&["sync", "--delete", "store:x", "back"]).await.ends_with(0);
    // A link is a name in the folder, its target is not.
    assert_eq!(files(&bench.path("back")), ["a", "broken", "linked"]);
    assert_eq!(std::fs::read_to_string(path("real/kept")).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_select_files() {
    let bench = Bench::start().await;
    for name in ["a.txt", "a.bin", "sub/b.txt", "sub/b.bin", "sub/deep/c.txt"] {
        write(&bench, &format!("src/{name}"), "x");
    }
    for (rules, expected) in [
        (&["--exclude", "*", "--include", "*.txt"][..], &["a.txt", "sub/b.txt", "sub/deep/c.txt"][..]),
        (&["--include", "*.txt", "--exclude", "*"], &[]),
        (&["--exclude", "sub/*", "--include", "sub/deep/*"], &["a.bin", "a.txt", "sub/deep/c.txt"]),
    ] {
        for call in [&["sync"][..], &["cp", "--recursive"]] {
            let ran = bench.run(&[call, &["--dry-run", "src", "store:x"], rules].concat()).await.ends_with(0);
            let mut names: Vec<_> =
                ran.stdout().lines().map(|line| line.rsplit("store:x/").next().unwrap().to_owned()).collect();
            names.sort();
            assert_eq!(names, expected, "{call:?} {rules:?}");
        }
    }
    bench.run(&["cp", "--exclude", "*", "src/a.txt", "store:x"]).await.ends_with(2);
    bench.run(&["sync", "--exclude", "[", "src", "store:x"]).await.ends_with(2);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn symlink_option_follows_skips_or_fails() {
    use std::os::unix::fs::symlink;
    let bench = Bench::start().await;
    write(&bench, "src/a", "a");
    write(&bench, "real/b", "b");
    symlink("../real", bench.path("src/folder")).unwrap();
    symlink("../real/b", bench.path("src/file")).unwrap();
    for (links, status, names) in
        [("follow", 0, &["a", "file", "folder/b"][..]), ("skip", 0, &["a"]), ("error", 1, &["a"])]
    {
        let prefix = format!("{links}/");
        let ran = bench.run(&["cp", "-r", "--links", links, "src", &format!("store:{prefix}")]).await.ends_with(status);
        assert_eq!(keys(&bench, &prefix).await, names);
        let reported = ran.stderr().matches("symbolic link").count();
        assert_eq!(reported, if links == "follow" { 0 } else { 2 }, "{}", ran.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_source_and_target_are_rejected() {
    let bench = Bench::start().await;
    for key in ["x/1", "x/y/2"] {
        bench.run_with(&["put", key], b"x").await.ends_with(0);
    }
    for call in [
        &["cp", "-r", "store:x", "store:x/y"][..],
        &["cp", "-r", "store:", "store:x"],
        &["sync", "store:x", "store:x/"],
        &["sync", "--delete", "store:x/y", "store:x"],
    ] {
        let ran = bench.run(call).await.ends_with(2);
        assert!(ran.stderr().contains("inside the other"), "{}", ran.stderr());
    }
    // Also if another configuration names the same bucket.
    let ran = bench.run(&["cp", "-r", "store:x", "store:x/y", "--to-config", "sandbucket.toml"]).await.ends_with(2);
    assert!(ran.stderr().contains("inside the other"), "{}", ran.stderr());
    assert_eq!(keys(&bench, "").await, ["x/1", "x/y/2"]);
    bench.run(&["cp", "-r", "store:x/y", "store:x"]).await.ends_with(0);
    assert_eq!(keys(&bench, "").await, ["x/1", "x/2", "x/y/2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn part_size_option_is_honoured() {
    let bench = Bench::start().await;
    std::fs::write(bench.path("file"), vec![7; 13 << 20]).unwrap();
    let body = std::fs::read(bench.path("file")).unwrap();
    for (call, parts) in [
        (&["put", "k", "file", "--part-size", "5MiB"][..], "-3"),
        (&["cp", "file", "store:k", "--part-size", "5242880"], "-3"),
        (&["put", "k", "--part-size", "6MiB"], "-3"),
        (&["put", "k", "--expected-size", "100GiB"], "-2"),
        (&["cp", "-", "store:k", "--expected-size", "1TiB"], "\""),
        (&["put", "k"], "-2"),
    ] {
        bench.run_with(call, if call.contains(&"file") { b"" } else { &body }).await.ends_with(0);
        let head = bench.run(&["--json", "head", "k"]).await.stdout();
        let head: serde_json::Value = serde_json::from_str(&head).unwrap();
        let etag = head["etag"].as_str().unwrap().trim_matches('"');
        let count = if parts == "\"" { !etag.contains('-') } else { etag.ends_with(parts) };
        assert!(count, "{call:?}: {etag}");
        assert_eq!(head["size"], body.len());
    }
    bench.run(&["put", "k", "file", "--part-size", "5MB"]).await.ends_with(2);
}
