#!/bin/sh
# Builds the program as it is shipped, in target/trained/plugboard. A first build counts what calls make it run, and the
# compiler is told of that for the second (profile-guided optimisation,
# https://doc.rust-lang.org/rustc/profile-guided-optimization.html). Of what it built the jumps are counted, and code that
# runs one after the other is put one behind the other (BOLT,
# https://github.com/llvm/llvm-project/blob/main/bolt/README.md).
set -eu
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
work=$PWD/target/trained
built=$work/$host/release/plugboard
log=$work/bolt.log

main() {
    merger=$(find_merger)
    bolt=$(find_bolt)
    say "1 of 4: building a program that counts what it runs"
    compile "-Cprofile-generate=$work/counts"
    say "2 of 4: placing calls for it to count"
    rm -rf "$work/counts" "$work/jumps" "$work/calls"
    place_calls "$built"
    "$merger" merge -o "$work/counts.profdata" "$work/counts"
    say "3 of 4: building the program"
    # With the relocations that the linker would leave out: who moves code must find the addresses in it.
    compile "-Cprofile-use=$work/counts.profdata -Clink-arg=-Wl,--emit-relocs"
    say "4 of 4: placing calls again, and moving code by the jumps that they take"
    mkdir "$work/jumps"
    rewrite "$work/counting" -instrument -instrumentation-file="$work/jumps/of" -instrumentation-file-append-pid
    place_calls "$work/counting"
    "$bolt/merge-fdata" -o "$work/jumps.fdata" "$work"/jumps/* 2>>"$log"
    rewrite "$work/plugboard" -data="$work/jumps.fdata" -icf \
        -reorder-blocks=ext-tsp -reorder-functions=cdsort -split-functions -split-all-cold -split-eh
    rm "$work/counting"
    say "built target/trained/plugboard"
}

# With --target the flags are for the program alone, not for what cargo runs on the way.
compile() {
    RUSTFLAGS=$1 cargo build --release --package plugboard-server --target "$host" --target-dir "$work"
}

place_calls() {
    python3 tests/bench/train.py "$1" --out "$work/calls"
}

# Makes another program of the one that was built. Assembly that was written by hand, ring's ciphers, stays as it is.
rewrite() {
    to=$1
    shift
    "$bolt/llvm-bolt" "$built" -o "$to" -skip-funcs='ring_core_.*' "$@" >"$log" 2>&1 ||
        { tail "$log" >&2; say "llvm-bolt failed; see $log"; exit 1; }
}

# What reads the counts must be of the compiler's own LLVM.
find_merger() {
    path=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
    [ -x "$path" ] || rustup component add llvm-tools >&2 || true
    [ -x "$path" ] || { say "llvm-profdata is missing: rustup component add llvm-tools"; exit 1; }
    echo "$path"
}

# The folder of LLVM's tools: Debian has one for each of its releases.
find_bolt() {
    path=$(command -v llvm-bolt || ls -v /usr/lib/llvm-*/bin/llvm-bolt 2>/dev/null | tail -n 1)
    [ -x "$path" ] || { say "llvm-bolt is missing; on Debian: apt-get install bolt-19 libbolt-19-dev"; exit 1; }
    dirname "$path"
}

say() { echo "release: $*" >&2; }

main
