#!/bin/sh
# Builds the program as it is shipped, in target/trained/plugboard: a first build counts what calls make it run, and the
# compiler is told of that for the second (profile-guided optimisation,
# https://doc.rust-lang.org/rustc/profile-guided-optimization.html).
set -eu
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
work=$PWD/target/trained
built=$work/$host/release/plugboard

main() {
    merger=$(find_merger)
    say "1 of 3: building a program that counts what it runs"
    compile "-Cprofile-generate=$work/counts"
    say "2 of 3: placing calls for it to count"
    rm -rf "$work/counts" "$work/calls"
    python3 tests/bench/train.py "$built" --out "$work/calls"
    "$merger" merge -o "$work/counts.profdata" "$work/counts"
    say "3 of 3: building the program"
    compile "-Cprofile-use=$work/counts.profdata"
    cp "$built" "$work/plugboard"
    say "built target/trained/plugboard"
}

# With --target the flags are for the program alone, not for what cargo runs on the way.
compile() {
    RUSTFLAGS=$1 cargo build --release --package plugboard-server --target "$host" --target-dir "$work"
}

# What reads the counts must be of the compiler's own LLVM.
find_merger() {
    path=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
    [ -x "$path" ] || rustup component add llvm-tools >&2 || true
    [ -x "$path" ] || { say "llvm-profdata is missing: rustup component add llvm-tools"; exit 1; }
    echo "$path"
}

say() { echo "release: $*" >&2; }

main
