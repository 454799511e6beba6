//! The corpora of the fuzz targets and some thousand seeded mutations of them, held against the oracles.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use plugboard_oracles::{Mutator, ORACLES, Oracle, in_time};

/// Mutations of each corpus, in number.
const MUTATIONS: u64 = 10_000;

/// All inputs of a target, with their names. Those that read messages have the torture messages of RFC 4475 too.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut inputs = read_folder(&tests.join("fuzz/corpus").join(target));
    if matches!(target, "message" | "stream") {
        inputs.extend(read_folder(&tests.join("rfc4475")));
    }
    inputs
}

fn read_folder(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut inputs: Vec<_> = paths
        .filter(|path| path.extension().is_none_or(|extension| extension == "dat"))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("it can be read")))
        .collect();
    inputs.sort();
    inputs
}

fn hold(oracle: Oracle, name: &str, input: &[u8]) {
    let held = catch_unwind(|| oracle(input));
    assert!(held.is_ok(), "{name} breaks a promise: {}", input.escape_ascii());
}

#[test]
fn corpora_hold() {
    for (target, oracle) in ORACLES {
        let inputs = corpus(target);
        assert!(inputs.len() >= 3, "{target} has no corpus");
        for (name, input) in inputs {
            hold(oracle, &name, &input);
        }
    }
}

#[test]
fn mutations_hold() {
    for (target, oracle) in ORACLES {
        let inputs = corpus(target);
        for seed in 0..MUTATIONS {
            let mut mutator = Mutator::new(seed);
            let at = |number: u64| &inputs[number as usize % inputs.len()].1;
            let input = mutator.mutate(at(seed), at(seed / 7));
            hold(oracle, &format!("{target}, seed {seed}"), &input);
        }
    }
}

/// Depends on how fast the machine is: run by `just fuzz`.
#[test]
#[ignore = "holds a machine to a time"]
fn time_grows_with_the_size_only() {
    const SIZE: usize = 60_000;
    let fragments: [&[u8]; 22] = [
        b" ",
        b"\r\n ",
        b"\r\n",
        b"\n",
        b"\r",
        b"a:\n",
        b"v:a\n",
        b"v: a,",
        b",",
        b";",
        b";a",
        b";a=b",
        b"\"",
        b"\\",
        b"<",
        b"\"\\\"",
        b"<>",
        b"=\",",
        b"%41",
        b"@",
        b"l:0\r\n\r\n",
        b"Digest a=b,",
    ];
    let heads: [&[u8]; 7] = [
        b"",
        b"OPTIONS sip:h SIP/2.0\r\n",
        b"OPTIONS sip:h SIP/2.0\r\nTo: ",
        b"sip:",
        b"SIP/2.0/UDP h",
        b"\"",
        b"Digest realm=\"",
    ];
    for (_, oracle) in ORACLES {
        for head in heads {
            for fragment in fragments {
                in_time(oracle, &[head, &fragment.repeat(SIZE / fragment.len())].concat());
            }
        }
    }
}
