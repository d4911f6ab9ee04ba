//! Interaction with shells, service managers and file systems: signals, special files, links, unusual names, closed
//! streams.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Bench;

const COMMAND: &str = env!("CARGO_BIN_EXE_sandbucket");

/// Runs a shell script in the folder, with the command as `$S`.
async fn shell(bench: &Bench, script: &str) -> Output {
    let mut command = Command::new("bash");
    command.current_dir(bench.folder.path()).args(["-c", script]).env("S", COMMAND).env("NO_COLOR", "1");
    command.env_remove("SANDBUCKET_CONFIG").env_remove("RUST_LOG").stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[track_caller]
fn assert_status(output: &Output, status: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    stderr
}

fn start(bench: &Bench, arguments: &[&str]) -> Child {
    let mut command = Command::new(COMMAND);
    command.current_dir(bench.folder.path()).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(signal: &str, child: &Child) {
    Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
}

/// Waits for the process, and kills it after the time limit of a cleanup.
async fn end(mut child: Child) -> Option<i32> {
    tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        panic!("the command did not end");
    })
    .await
    .unwrap()
}

async fn wait_until(mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "it did not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A service that responds to every request with a head and the beginning of a body, and then stalls.
fn stalling_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut connection in listener.incoming().map_while(Result::ok) {
            let _ = connection.read(&mut [0; 8192]);
            let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nLast-Modified: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Length: 9999999\r\n\r\n";
            let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&[7; 100_000]));
            open.push(connection);
        }
    });
    endpoint
}

const SIGNALS: [(&str, i32); 3] = [("-INT", 130), ("-TERM", 143), ("-HUP", 129)];

#[tokio::test(flavor = "multi_thread")]
async fn signals_abort_uploads() {
    let bench = Bench::start().await;
    let uploads = async || bench.run(&["uploads", "--json"]).await.ends_with(0).stdout().lines().count();
    for (signal, status) in SIGNALS {
        for arguments in [&["put", "k"][..], &["cp", "-", "store:k"]] {
            let mut child = start(&bench, arguments);
            // Its input stays open: more could follow.
            let mut stdin = child.stdin.take().unwrap();
            let stdin = tokio::task::spawn_blocking(move || stdin.write_all(&vec![7; 20 << 20]).map(|()| stdin));
            let stdin = stdin.await.unwrap().unwrap();
            wait_until(async || uploads().await > 0).await;
            send(signal, &child);
            assert_eq!((end(child).await, uploads().await), (Some(status), 0), "{signal} {arguments:?}");
            drop(stdin);
        }
    }
    bench.run(&["head", "k"]).await.ends_with(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_remove_temporary_files() {
    let bench = Bench::start().await;
    bench.configure(&stalling_service(), "the-secret");
    std::fs::create_dir(bench.path("into")).unwrap();
    for (signal, status) in SIGNALS {
        for arguments in [["get", "k", "into/file"], ["cp", "store:k", "into/file"]] {
            let child = start(&bench, &arguments);
            wait_until(async || !names(&bench.path("into")).is_empty()).await;
            send(signal, &child);
            assert_eq!(end(child).await, Some(status), "{signal} {arguments:?}");
            assert_eq!(names(&bench.path("into")), [""; 0], "{signal} {arguments:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_commands_that_are_blocked_on_a_pipe() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], &vec![7; 3_000_000]).await.ends_with(0);
    // A listing that is longer than the buffer of a pipe.
    let long = bench.path("src").join("a".repeat(250)).join("b".repeat(250)).join("c".repeat(250));
    std::fs::create_dir_all(&long).unwrap();
    for n in 0..200 {
        std::fs::write(long.join(format!("{n}{}", "d".repeat(200))), "").unwrap();
    }
    bench.run(&["cp", "-r", "src", "store:"]).await.ends_with(0);
    Command::new("mkfifo").arg(bench.path("pipe")).status().unwrap();
    for arguments in [
        &["get", "k"][..],
        &["cp", "store:k", "-"],
        &["ls", "-r"],
        &["get", "k", "pipe"],
        &["cp", "store:k", "pipe"],
        &["put", "k", "pipe"],
    ] {
        let mut child = start(&bench, arguments);
        // Nobody reads the output, or the other end of the FIFO.
        if arguments.last() != Some(&"pipe") {
            child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let unread = (child.stdin.take(), child.stdout.take());
        send("-TERM", &child);
        assert_eq!(end(child).await, Some(143), "{arguments:?}");
        drop(unread);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_stays_ignored_under_nohup() {
    let bench = Bench::start().await;
    let script = "trap '' HUP; $S put k < <(echo begin; sleep 2; echo end) & sleep 1; kill -HUP $!; wait $!";
    assert_status(&shell(&bench, script).await, 0);
    assert_eq!(bench.run(&["get", "k"]).await.stdout(), "begin\nend\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn exceeding_the_file_size_limit_is_an_error_that_leaves_no_file() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], &vec![7; 3_000_000]).await.ends_with(0);
    std::fs::create_dir(bench.path("into")).unwrap();
    for call in ["get k into/file", "cp store:k into/file"] {
        let stderr = assert_status(&shell(&bench, &format!("ulimit -f 1000; $S {call}")).await, 1);
        assert!(stderr.contains("into/file") && stderr.contains("too large"), "{stderr}");
        assert_eq!(names(&bench.path("into")), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leftover_temporary_files_are_not_uploaded() {
    let bench = Bench::start().await;
    bench.configure(&stalling_service(), "the-secret");
    std::fs::create_dir_all(bench.path("src/in")).unwrap();
    for arguments in [["get", "k", "src/a"], ["cp", "store:k", "src/in/b"]] {
        let before = names(&bench.path("src")).len() + names(&bench.path("src/in")).len();
        let child = start(&bench, &arguments);
        wait_until(async || names(&bench.path("src")).len() + names(&bench.path("src/in")).len() > before).await;
        send("-KILL", &child);
        assert_eq!(end(child).await, None);
    }
    bench.configure(&bench.server.endpoint(), "the-secret");
    std::fs::write(bench.path("src/.sandbucket-notes.txt"), "a file of the user's").unwrap();
    let ran = bench.run(&["cp", "-r", "src", "store:x"]).await.ends_with(0);
    assert_eq!(ran.stderr().matches("left out").count(), 2, "{}", ran.stderr());
    let listed = bench.run(&["ls", "-r", "--json"]).await.stdout();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains("x/.sandbucket-notes.txt"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn special_files_are_written_into_and_never_replaced() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"body\n").await.ends_with(0);
    Command::new("mkfifo").arg(bench.path("pipe")).status().unwrap();
    symlink("pipe", bench.path("to-pipe")).unwrap();
    // Through links, so that a fault replaces the links, and not the machine's devices, if root runs the tests.
    for name in ["null", "stdout", "full"] {
        symlink(Path::new("/dev").join(name), bench.path(name)).unwrap();
    }
    for call in ["get k", "cp store:k"] {
        for (script, expected) in [
            ("cat pipe & $S CALL pipe && wait", "body\n"),
            ("cat pipe & $S CALL to-pipe && wait", "body\n"),
            ("$S CALL null", ""),
            ("$S CALL stdout", "body\n"),
            ("$S CALL stdout | cat", "body\n"),
            ("$S CALL /proc/self/fd/1", "body\n"),
            ("$S CALL /dev/fd/3 3>&1 >/dev/null", "body\n"),
            ("$S CALL >(cat >&2) 2>/dev/null", ""),
            // In a file, the existing content stays.
            ("(echo before; $S CALL stdout; echo after) > out; cat out", "before\nbody\nafter\n"),
            ("echo before > out; $S CALL stdout >> out; cat out", "before\nbody\n"),
            ("(echo before >&3; $S CALL /dev/fd/3) 3> out; cat out", "before\nbody\n"),
        ] {
            let script = script.replace("CALL", call);
            let output = shell(&bench, &script).await;
            assert_status(&output, 0);
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{script}");
        }
        let output = shell(&bench, &format!("$S {call} >(cat > sub); sleep 1; cat sub")).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), "body\n", "{call}");
        let stderr = assert_status(&shell(&bench, &format!("$S {call} full")).await, 1);
        assert!(stderr.contains("full") && stderr.contains("space"), "{stderr}");
        // A reader that closes the pipe early.
        let stderr =
            assert_status(&shell(&bench, &format!("exec 3> >(exit); sleep 1; $S {call} /dev/fd/3")).await, 141);
        assert_eq!(stderr, "");
    }
    assert!(std::fs::symlink_metadata(bench.path("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read_link(bench.path("to-pipe")).unwrap(), Path::new("pipe"));
    for name in ["null", "stdout", "full"] {
        assert_eq!(std::fs::read_link(bench.path(name)).unwrap(), Path::new("/dev").join(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn symlinks_to_files_are_followed_and_stay() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"new").await.ends_with(0);
    for (n, call) in [&["get", "k"][..], &["cp", "store:k"]].into_iter().enumerate() {
        let folder = bench.path(&format!("folder{n}"));
        std::fs::create_dir_all(folder.join("real")).unwrap();
        std::fs::write(folder.join("real/file"), "old").unwrap();
        symlink("real/file", folder.join("link")).unwrap();
        symlink("link", folder.join("chain")).unwrap();
        symlink("real/missing", folder.join("dangling")).unwrap();
        symlink("circle", folder.join("circle")).unwrap();
        for (link, file) in [("chain", "real/file"), ("dangling", "real/missing")] {
            let path = folder.join(link);
            bench.run(&[call, &[path.to_str().unwrap()]].concat()).await.ends_with(0);
            assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink(), "{call:?} {link}");
            assert_eq!(std::fs::read_to_string(folder.join(file)).unwrap(), "new", "{call:?} {link}");
        }
        let circle = folder.join("circle");
        let ran = bench.run(&[call, &[circle.to_str().unwrap()]].concat()).await.ends_with(1);
        assert!(ran.stderr().contains("circle") && ran.stderr().contains("symbolic links"), "{}", ran.stderr());
        assert_eq!(names(&folder), ["chain", "circle", "dangling", "link", "real"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recursive_copy_follows_symlinks_and_reports_skipped_files() {
    let bench = Bench::start().await;
    std::fs::create_dir_all(bench.path("src/sub")).unwrap();
    std::fs::create_dir(bench.path("real")).unwrap();
    std::fs::write(bench.path("real/data"), "important").unwrap();
    symlink("../real", bench.path("src/linked")).unwrap();
    bench.run(&["cp", "-r", "src", "store:ok"]).await.ends_with(0);
    assert_eq!(bench.run(&["get", "ok/linked/data"]).await.stdout(), "important");

    symlink("..", bench.path("src/sub/round")).unwrap();
    Command::new("mkfifo").arg(bench.path("src/sub/fifo")).status().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.path("src/socket")).unwrap();
    symlink("/dev/null", bench.path("src/device")).unwrap();
    symlink("nowhere", bench.path("src/broken")).unwrap();
    for json in [&["--json"][..], &[]] {
        let ran = bench.run(&[json, &["cp", "-r", "src", "store:some"]].concat()).await.ends_with(1);
        for word in ["src/sub/round", "a FIFO", "a socket", "a device", "src/broken"] {
            assert!(ran.stderr().contains(word), "no {word} in\n{}", ran.stderr());
        }
        assert!(ran.stderr().contains("5 of 6"), "{}", ran.stderr());
    }
    assert_eq!(bench.run(&["get", "some/linked/data"]).await.stdout(), "important");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_modified_while_read_is_not_stored() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"as it was").await.ends_with(0);
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("grows", |file| std::fs::File::options().append(true).open(file).unwrap().write_all(b"x").unwrap()),
        ("shrinks", |file| {
            let opened = std::fs::File::options().write(true).open(file).unwrap();
            opened.set_len(opened.metadata().unwrap().len() - 1).unwrap();
        }),
        ("is rewritten", |file| std::fs::File::options().write(true).open(file).unwrap().write_all(b"y").unwrap()),
    ];
    for (name, change) in changes {
        for arguments in [&["put", "k", "file"][..], &["cp", "file", "store:k"], &["cp", "-r", "src", "store:"]] {
            std::fs::create_dir_all(bench.path("src")).unwrap();
            let file = bench.path(if arguments[1] == "-r" { "src/k" } else { "file" });
            std::fs::write(&file, vec![7; 30 << 20]).unwrap();
            let mut child = Command::new(COMMAND);
            child.current_dir(bench.folder.path()).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
            let output = tokio::task::spawn_blocking(move || {
                let mut child = child.spawn().unwrap();
                while child.try_wait().unwrap().is_none() {
                    change(&file);
                    std::thread::sleep(Duration::from_millis(2));
                }
                child.wait_with_output().unwrap()
            });
            let stderr = assert_status(&output.await.unwrap(), 1);
            assert!(stderr.contains("changed while it was read"), "{name} {arguments:?}: {stderr}");
            assert_eq!(bench.run(&["get", "k"]).await.stdout_lossy().len(), 9, "{name} {arguments:?}");
        }
    }
    assert_eq!(bench.run(&["uploads"]).await.stdout(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_standard_streams_are_errors() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"precious").await.ends_with(0);
    for call in ["put k", "put k -", "cp - store:k"] {
        // As with `nohup`, the last one is open for writing only.
        for closed in ["<&-", "0>/dev/null"] {
            let stderr = assert_status(&shell(&bench, &format!("$S {call} {closed}")).await, 1);
            assert!(stderr.contains("standard input"), "{call} {closed}: {stderr}");
            assert_eq!(bench.run(&["get", "k"]).await.stdout(), "precious", "{call} {closed}");
        }
    }
    symlink("/dev/stdout", bench.path("stdout")).unwrap();
    for call in ["get k", "cp store:k -", "get k stdout", "ls", "head k"] {
        for closed in [">&-", "1</dev/null"] {
            let stderr = assert_status(&shell(&bench, &format!("$S {call} {closed}")).await, 1);
            assert!(
                stderr.contains("standard output") || stderr.contains("writing stdout"),
                "{call} {closed}: {stderr}"
            );
        }
    }
    // An open and empty standard input is an empty blob.
    for empty in ["</dev/null", "<>/dev/null", "< <(true)"] {
        bench.run_with(&["put", "k"], b"precious").await.ends_with(0);
        assert_status(&shell(&bench, &format!("$S put k {empty}")).await, 0);
        assert_eq!(bench.run(&["get", "k"]).await.stdout(), "", "{empty}");
    }
    assert_status(&shell(&bench, "$S get k > /dev/null 2>&-").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn file_names_with_colons_and_backslashes_round_trip() {
    let bench = Bench::start().await;
    let odd = ["2024-01-01T12:30:00.log", "back\\slash", "C:\\x", "-dash", " around ", "new\nline", "a%2Fb+c?d#e&f;g"];
    std::fs::create_dir(bench.path("src")).unwrap();
    for name in odd {
        std::fs::write(bench.path("src").join(name), name).unwrap();
    }
    bench.run(&["cp", "-r", "src", "store:x"]).await.ends_with(0);
    bench.run(&["cp", "-r", "store:x", "back"]).await.ends_with(0);
    for name in odd {
        assert_eq!(std::fs::read_to_string(bench.path("back").join(name)).unwrap(), name);
        for call in [["cp", &format!("store:x/{name}"), "single/"], ["get", &format!("x/{name}"), "single/"]] {
            bench.run(&call).await.ends_with(0);
            assert_eq!(std::fs::read_to_string(bench.path("single").join(name)).unwrap(), name);
            std::fs::remove_file(bench.path("single").join(name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn target_with_trailing_slash_is_a_folder_created_before_reading() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "d/k"], b"body").await.ends_with(0);
    for (call, folder) in [(["get", "d/k"], "new/got/"), (["cp", "store:d/k"], "new/copied/")] {
        bench.run(&[&call[..], &[folder]].concat()).await.ends_with(0);
        assert_eq!(std::fs::read_to_string(bench.path(folder).join("k")).unwrap(), "body");
        // The same for an existing folder, with and without the slash.
        bench.run(&[&call[..], &[folder.trim_end_matches('/')]].concat()).await.ends_with(0);
        let ran = bench.run(&[&call[..], &["sandbucket.toml/"]].concat()).await.ends_with(1);
        assert!(ran.stderr().contains("sandbucket.toml"), "{}", ran.stderr());
    }
    // A missing blob creates no folder.
    bench.run(&["cp", "store:missing", "other/"]).await.ends_with(3);
    assert!(!bench.path("other").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn rm_recursive_deletes_a_folder_and_a_prefix_only_on_request() {
    let bench = Bench::start().await;
    for key in ["foo/1", "foo/a/2", "foo", "foobar", "foo-old/3", "z"] {
        bench.run_with(&["put", key], b"x").await.ends_with(0);
    }
    let count = async || bench.run(&["ls", "-r"]).await.stdout().lines().count();
    bench.run(&["rm", "-r", "--yes", "foo"]).await.ends_with(0);
    assert_eq!(count().await, 4);
    // The blob of that name is no folder.
    let ran = bench.run(&["rm", "-r", "--yes", "foo"]).await.ends_with(1);
    assert!(ran.stderr().contains("foo/") && ran.stderr().contains("--prefix"), "{}", ran.stderr());
    assert_eq!(count().await, 4);
    bench.run(&["rm", "--prefix", "foo"]).await.ends_with(2);
    bench.run(&["rm", "-r", "--prefix", "--yes", "foo"]).await.ends_with(0);
    assert_eq!(count().await, 1);
    // Existing folders are deleted, and missing ones reported.
    bench.run_with(&["put", "d/1"], b"x").await.ends_with(0);
    let ran = bench.run(&["rm", "-r", "--yes", "missing", "d"]).await.ends_with(1);
    assert!(ran.stderr().contains("missing/") && ran.stderr().contains("deleted d/1"), "{}", ran.stderr());
    assert_eq!(count().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_prefix_is_reported() {
    let bench = Bench::start().await;
    // An empty bucket is no error.
    bench.run(&["ls"]).await.ends_with(0);
    bench.run(&["ls", "-r"]).await.ends_with(0);
    bench.run(&["cp", "-r", "store:", "all"]).await.ends_with(0);
    bench.run_with(&["put", "k"], b"x").await.ends_with(0);
    bench.run_with(&["put", "empty/"], b"").await.ends_with(0);
    for arguments in [
        &["ls", "nothing/"][..],
        &["ls", "-r", "nothing"],
        &["ls", "--versions", "nothing"],
        &["cp", "-r", "store:nothing", "new"],
        &["cp", "-r", "store:nothing", "store:new"],
        &["cp", "-r", "--newer", "store:nothing", "new"],
        &["cp", "-r", "--dry-run", "store:nothing", "new"],
        &["cp", "-r", "store:k", "new"],
        &["rm", "-r", "--yes", "nothing"],
        &["rm", "-r", "nothing"],
    ] {
        let ran = bench.run(arguments).await.ends_with(1);
        assert!(ran.stderr().contains("no blob has a key that begins with"), "{arguments:?}: {}", ran.stderr());
    }
    assert!(!bench.path("new").exists());
    // An empty folder exists.
    bench.run(&["ls", "empty/"]).await.ends_with(0);
    bench.run(&["cp", "-r", "store:empty", "new"]).await.ends_with(0);
    std::fs::create_dir(bench.path("none-in-it")).unwrap();
    bench.run(&["cp", "-r", "none-in-it", "store:x"]).await.ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_run_within_a_small_descriptor_limit() {
    let bench = Bench::start().await;
    std::fs::create_dir(bench.path("many")).unwrap();
    for n in 0..100 {
        std::fs::write(bench.path("many").join(n.to_string()), "x").unwrap();
    }
    assert_status(&shell(&bench, "ulimit -n 40; $S cp -r -j 64 many store:many").await, 0);
    assert_status(&shell(&bench, "ulimit -n 40; $S cp -r -j 64 store:many back").await, 0);
    assert_eq!(names(&bench.path("back")).len(), 100);
    // With several parts each, and so with several connections.
    std::fs::create_dir(bench.path("large")).unwrap();
    for n in 0..6 {
        std::fs::write(bench.path("large").join(n.to_string()), vec![n; 33 << 20]).unwrap();
    }
    assert_status(&shell(&bench, "ulimit -n 64; $S sync -j 64 large store:large").await, 0);
    assert_status(&shell(&bench, "ulimit -n 64; $S sync -j 64 store:large large-back").await, 0);
    assert_status(&shell(&bench, "ulimit -n 64; $S cp -r -j 64 store:large store:other").await, 0);
    assert_status(&shell(&bench, "ulimit -n 64; $S put one large/1 && $S get one one").await, 0);
    assert_eq!(names(&bench.path("large-back")).len(), 6);
    // The soft limit is raised.
    assert_status(&shell(&bench, "ulimit -Sn 30; $S cp -r -j 16 many store:soft").await, 0);
    // Deep folders are not kept open.
    let deep = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join("/");
    std::fs::create_dir_all(bench.path("deep").join(&deep)).unwrap();
    std::fs::write(bench.path("deep").join(&deep).join("file"), "x").unwrap();
    assert_status(&shell(&bench, "ulimit -n 40; $S cp -r deep store:deep").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn download_replaces_the_file_and_keeps_its_hard_links() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"new").await.ends_with(0);
    std::fs::write(bench.path("file"), "old").unwrap();
    std::fs::hard_link(bench.path("file"), bench.path("other")).unwrap();
    bench.run(&["get", "k", "file"]).await.ends_with(0);
    assert_eq!(std::fs::read_to_string(bench.path("other")).unwrap(), "old");
    assert_eq!(std::fs::metadata(bench.path("file")).unwrap().nlink(), 1);
}
