//! Runs every fuzz target on stable within seconds: the corpus, then mutations and random bytes from a fixed seed.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sandbucket_fuzz::{TARGETS, Target};

/// Inputs per target besides its corpus. `FUZZ_CASES` overrides it.
const CASES: usize = 1500;
/// Maximum length of an input in bytes. libFuzzer's are up to 4 KiB.
const MAX_INPUT: usize = 2048;

/// The corpus of a target: each file and its name.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs a target, and keeps the input of a finding for `make fuzz`.
fn run(name: &str, target: Target, input: &[u8]) {
    if let Err(finding) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let path = std::env::temp_dir().join(format!("sandbucket-{name}-finding"));
        fs::write(&path, input).unwrap();
        eprintln!("{name}: the input is in {}", path.display());
        resume_unwind(finding);
    }
}

fn random(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(..most)).map(|_| rng.u8(..)).collect()
}

/// A seed with pieces removed, inserted, duplicated or taken from another; or random bytes.
fn input(rng: &mut Rng, seeds: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut input =
        if seeds.is_empty() || rng.u8(..8) == 0 { random(rng, 512) } else { rng.choice(seeds).unwrap().1.clone() };
    for _ in 0..rng.usize(1..6) {
        let start = rng.usize(..=input.len());
        let end = (start + rng.usize(..24)).min(input.len());
        match rng.u8(..6) {
            0 => drop(input.drain(start..end)),
            1 => {
                let new = random(rng, 12);
                drop(input.splice(start..end, new));
            }
            2 => {
                let again = input[start..end].to_vec();
                drop(input.splice(start..start, again));
            }
            3 => input[start..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.u8(..8)),
            4 => {
                const WORDS: [&[u8]; 8] =
                    [b"0", b"18446744073709551615", b"\0", b"\r\n", b"\n", b"<", b"=", "\u{202e}".as_bytes()];
                drop(input.splice(start..end, rng.choice(WORDS).unwrap().iter().copied()));
            }
            _ => {
                let Some((_, other)) = rng.choice(seeds) else { continue };
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(..64)).min(other.len());
                drop(input.splice(start..end, other[from..to].iter().copied()));
            }
        }
    }
    input.truncate(MAX_INPUT);
    input
}

#[test]
fn corpus_and_fixed_seed_mutations_have_no_findings() {
    let cases = std::env::var("FUZZ_CASES").map_or(CASES, |cases| cases.parse().expect("a number"));
    // One run shows the findings of all targets.
    let findings = TARGETS.into_iter().filter(|&(name, target)| {
        catch_unwind(|| {
            let (began, seeds) = (std::time::Instant::now(), corpus(name));
            assert!(!seeds.is_empty(), "{name} has no corpus");
            for (path, seed) in &seeds {
                eprintln!("{name}: {}", path.display());
                run(name, target, seed);
            }
            let mut rng = Rng::with_seed(12);
            for _ in 0..cases {
                run(name, target, &input(&mut rng, &seeds));
            }
            eprintln!("{name}: {} seeds and {cases} cases in {:?}", seeds.len(), began.elapsed());
        })
        .is_err()
    });
    let findings: Vec<&str> = findings.map(|(name, _)| name).collect();
    assert!(findings.is_empty(), "findings in {findings:?}");
}

#[test]
fn each_target_has_a_libfuzzer_binary() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
        assert!(path.exists(), "{} is missing", path.display());
    }
}
