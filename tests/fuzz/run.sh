#!/bin/sh
# Fuzzes each target for SECONDS: tests/fuzz/run.sh SECONDS [TARGET...]. Needs a nightly toolchain; installs cargo-fuzz
# into the user's cache folder when it is missing. New inputs go to target/fuzz, and those that break something too.
set -eu
cd "$(dirname "$0")"

seconds=${1:-60}
[ $# -eq 0 ] || shift
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plugboard
work=${CARGO_TARGET_DIR:-$PWD/../../target}/fuzz
message_bytes_max=65535
other_bytes_max=2048

main() {
    cargo +nightly --version >/dev/null 2>&1 || die "a nightly toolchain is needed: rustup toolchain install nightly"
    PATH=$PATH:$cache/fuzz/bin
    export PATH
    command -v cargo-fuzz >/dev/null || install
    cargo +nightly fuzz build --target-dir "$work/build"
    [ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
    for target in "$@"; do fuzz "$target"; done
}

install() {
    echo "building cargo-fuzz into $cache/fuzz (a few minutes, once)" >&2
    cargo install cargo-fuzz --locked --quiet --root "$cache/fuzz" || die "cargo-fuzz could not be built"
}

# The first folder takes what is new, so that the committed corpus stays as it is.
fuzz() {
    mkdir -p "$work/corpus/$1" "$work/artifacts/$1"
    set -- "$1" "$work/corpus/$1" "corpus/$1"
    bytes=$other_bytes_max
    case $1 in message | stream) bytes=$message_bytes_max; set -- "$@" ../rfc4475 ;; esac
    target=$1
    echo "--- $target, $seconds seconds" >&2
    cargo +nightly fuzz run --target-dir "$work/build" "$@" -- \
        -max_total_time="$seconds" -max_len="$bytes" -timeout=60 -dict=sip.dict -print_final_stats=1 \
        -artifact_prefix="$work/artifacts/$target/"
}

die() { echo "fuzz: $*" >&2; exit 1; }

main "$@"
