//! Text from a service never reaches standard output or standard error as control or format characters.

use serde_json::Value;

use super::Bench;

/// Characters that a terminal interprets or hides, one of each kind, with letters around them.
const HOSTILE: [&str; 10] = [
    "a\u{1b}[2Jb",
    "a\nb",
    "a\rb",
    "a\u{7f}b",
    "a\u{9b}31mb",
    "a\u{202e}gpj.exe",
    "a\u{2066}b\u{2069}",
    "a\u{2028}b",
    "a\u{feff}\u{200b}b",
    "a\u{e0041}b",
];

/// Their escaped forms.
const SHOWN: [&str; 10] = [
    "a\\u{1b}[2Jb",
    "a\\nb",
    "a\\rb",
    "a\\u{7f}b",
    "a\\u{9b}31mb",
    "a\\u{202e}gpj.exe",
    "a\\u{2066}b\\u{2069}",
    "a\\u{2028}b",
    "a\\u{feff}\\u{200b}b",
    "a\\u{e0041}b",
];

#[track_caller]
fn assert_escaped(text: &str, what: &str) {
    let bad = text.chars().find(|c| *c != '\n' && sandbucket::text::is_unsafe_for_display(*c));
    assert_eq!(bad, None, "{what}: {text:?}");
}

#[tokio::test]
async fn hostile_keys_are_escaped_in_rows_and_notes_and_exact_in_json() {
    let bench = Bench::start().await;
    for (key, shown) in HOSTILE.iter().zip(SHOWN) {
        let moved = format!("{key}2");
        for (arguments, rows) in [
            (&["put", key, "-"][..], 0),
            (&["ls", ""][..], 1),
            (&["ls", "--versions", ""][..], 1),
            (&["du", ""][..], 0),
            (&["tags", key, "--set", "n=v"][..], 0),
            (&["mv", key, &moved][..], 0),
            (&["mv", &moved, key][..], 0),
        ] {
            let ran = bench.run_with(arguments, b"body").await.ends_with(0);
            for text in [ran.stdout(), ran.stderr()] {
                assert_escaped(&text, &format!("{arguments:?}"));
            }
            let output = ran.stdout() + &ran.stderr();
            assert!(arguments[0] == "du" || output.contains(shown), "{arguments:?}: {output}");
            if rows > 0 {
                assert_eq!(ran.stdout().lines().count(), rows, "a key makes no rows of its own: {output}");
            }
        }
        let listed = bench.run(&["ls", "--json", ""]).await.ends_with(0);
        assert_escaped(&listed.stdout(), "ls --json");
        assert_eq!(listed.json()["key"], *key);
        let removed = bench.run(&["rm", key]).await.ends_with(0);
        assert_escaped(&removed.stderr(), "rm");
        assert!(removed.stderr().contains(shown), "{}", removed.stderr());
    }
}

#[tokio::test]
async fn hostile_folders_are_escaped() {
    let bench = Bench::start().await;
    for (key, shown) in HOSTILE.iter().zip(SHOWN) {
        let within = format!("{key}/k");
        bench.run_with(&["put", &within, "-"], b"body").await.ends_with(0);
        for command in [&["ls", ""][..], &["du", "", "--depth", "1"][..], &["rm", "-r", key][..]] {
            let ran = bench.run(command).await;
            let output = ran.stdout() + &ran.stderr();
            assert_escaped(&output, &format!("{command:?}"));
            assert!(output.contains(shown), "{command:?}: {output}");
        }
        bench.run(&["rm", &within]).await.ends_with(0);
    }
}

#[tokio::test]
async fn hostile_metadata_and_tags_are_escaped() {
    let bench = Bench::start().await;
    for (value, shown) in HOSTILE.iter().zip(SHOWN) {
        bench.run_with(&["put", "k", "-"], b"body").await.ends_with(0);
        let tag = format!("n={value}");
        if !bench.run(&["tags", "k", "--set", &tag]).await.output.status.success() {
            // XML cannot represent all control characters.
            continue;
        }
        let ran = bench.run(&["tags", "k"]).await.ends_with(0);
        assert_escaped(&ran.stdout(), "tags");
        assert!(ran.stdout().contains(shown), "{}", ran.stdout());
        let ran = bench.run(&["tags", "--json", "k"]).await.ends_with(0);
        assert_escaped(&ran.stdout(), "tags --json");
        assert_eq!(ran.json()["tags"]["n"], *value);
    }
    bench.run_with(&["put", "m", "-", "--metadata", "n=a\u{202e}b"], b"body").await.ends_with(0);
    let head = bench.run(&["head", "m"]).await.ends_with(0);
    assert_escaped(&head.stdout(), "head");
    assert!(head.stdout().contains("a\\u{202e}b"), "{}", head.stdout());
    let head = bench.run(&["head", "--json", "m"]).await.ends_with(0);
    assert_escaped(&head.stdout(), "head --json");
    assert_eq!(head.json()["metadata"]["n"], "a\u{202e}b");
}

#[tokio::test]
async fn hostile_text_in_errors_is_escaped() {
    let bench = Bench::start().await;
    for key in HOSTILE {
        for json in [false, true] {
            let arguments = if json { &["--json", "get", key, "-"][..] } else { &["get", key, "-"][..] };
            let ran = bench.run(arguments).await;
            assert!(!ran.output.status.success());
            assert_escaped(&ran.stderr(), &format!("{arguments:?}"));
            if json {
                serde_json::from_str::<Value>(&ran.stderr()).unwrap();
            }
        }
    }
}
