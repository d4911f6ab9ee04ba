//! The status page in a real browser: Chromium, if it is installed.

use std::path::Path;
use std::process::Stdio;

use sandbucket_gateway::AdminAddress;
use sandbucket_tests::python::hex;
use serde_json::json;

use super::{Bench, run};

/// The page's document after its scripts have run for some seconds.
async fn rendered(program: &str, url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let done = tokio::process::Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=9000", "--dump-dom", url])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn status_page_shows_tenants_and_their_requests() {
    let programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let Some(program) = programs.into_iter().find(|program| Path::new(program).exists()) else {
        eprintln!("LEFT OUT: there is no Chromium (Debian: apt-get install chromium)");
        return;
    };
    run(async {
        let bench = Bench::with("admin = '127.0.0.1:0'\n").await;
        let mut alice = bench.boto("alice-rw").await;
        alice.ok("put_object", json!({"Bucket": "alice-photos", "Key": "k", "Body": {"hex": hex(b"abc")}})).await;
        for _ in 0..2 {
            alice.fails("get_object", json!({"Bucket": "alice-photos", "Key": "absent"}), "NoSuchKey", 404).await;
        }
        let Some(AdminAddress::Tcp(address)) = bench.running.admin().cloned() else { panic!("no admin API") };
        let page = rendered(program, &format!("http://{address}/")).await;
        let rows: Vec<&str> = page.split("<tr>").filter(|row| row.starts_with("<td>")).collect();
        assert_eq!(rows.len(), 2, "{page}");
        let cells = |row: &str| -> Vec<String> {
            let cells = row.split("</td>").filter_map(|cell| cell.rsplit('>').next());
            cells.map(str::to_owned).collect()
        };
        let alice = cells(rows[0]);
        assert_eq!((alice[0].as_str(), alice[1].as_str()), ("alice", "open"));
        // Requests and client errors.
        assert_eq!((alice[10].as_str(), alice[11].as_str(), alice[12].as_str()), ("3", "2", "0"), "{alice:?}");
        assert_eq!(alice[16], "alice-all, alice-music, alice-photos");
        // A rate needs a second look at the status.
        assert_eq!(alice[2], "0");
        assert_eq!(cells(rows[1])[..2], ["bob", "closed"]);
        assert!(page.contains("<dd class=\"good\">ready</dd>"), "{page}");
        bench.gateway.drain();
        let page = rendered(program, &format!("http://{address}/")).await;
        assert!(page.contains("<dd class=\"bad\">draining</dd>"), "{page}");
        bench.running.stop().await;
    });
}
