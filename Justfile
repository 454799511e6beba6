# What can be done here: ./just RECIPE. The script `just` finds or installs the runner of this file.

set positional-arguments := true

# Lists the recipes.
default:
    @"{{ just_executable() }}" --list

# Builds the guests (the controller and the test fixtures) as components in target/guests.
guests:
    @guest/build.sh

# Builds the program `plugboard`, release mode.
build: guests
    cargo build --release -p plugboard-server

# Builds it as it is shipped, target/trained/plugboard: 13 to 25 % less CPU per call. Half an hour.
release: peers guests release-tools
    @host/release.sh

# Shows the whole thing at work on loopback; with --stay it keeps running.
demo *ARGS: guests
    @cargo run -p plugboard-server --bin plugboard -- demo "$@"

# Runs all tests, with real SIP peers; installs those first when they are missing. Arguments go to the test runner.
test *ARGS: peers guests
    #!/bin/sh
    set -eu
    cargo test --workspace --quiet --doc
    if cargo nextest --version >/dev/null 2>&1; then
        exec cargo nextest run --workspace "$@"
    else
        exec cargo test --workspace --lib --bins --tests "$@"
    fi

# Checks formatting, clippy's lints and the documentation; any warning fails.
lint: guests
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Measures Plugboard beside Kamailio: CPU per call, latency, memory, share of each stage. --help; tests/bench/README.md
bench *ARGS: peers bench-peers build
    @python3 tests/bench/bench.py "$@"

# Times the steps of a call one by one: parse, transaction, one event through the guest, and so on.
bench-micro *ARGS: guests
    cargo bench -p plugboard-micro -- "$@"

# Counts the instructions of the same steps and compares them with the committed figures; --write takes the new ones.
bench-count *ARGS: guests (debian "valgrind:valgrind")
    cargo build --release -p plugboard-micro --bin count
    @python3 tests/bench/micro/count.py target/release/count "$@"

# What a call takes of memory: bytes that stay while it is held and after it, allocations on the way.
bench-memory:
    cargo run --release -p plugboard-micro --bin memory

# Fuzzes everything that reads SIP, SECONDS for each target; needs a nightly toolchain, and installs cargo-fuzz.
fuzz SECONDS="60" *TARGETS:
    cargo test --quiet -p plugboard-oracles --test corpora -- --ignored
    @tests/fuzz/run.sh "$@"

# Deploys 1,000 components, each another one, while calls are placed; no call may fail. Prints its figures.
bench-deploys *ARGS: build
    PLUGBOARD_PROGRAM="$PWD/target/release/plugboard" cargo bench -p plugboard-tests --bench deploys -- "$@"

# What 50,000 datagrams a second from one source cost the calls of others, for SECONDS.
bench-flood SECONDS="20": build
    PLUGBOARD_PROGRAM="$PWD/target/release/plugboard" cargo bench -p plugboard-tests --bench flood -- "$@"

# What a tenant whose call logic never returns costs another, in PAIRS of runs without and with it.
bench-neighbours PAIRS="5": build
    PLUGBOARD_PROGRAM="$PWD/target/release/plugboard" cargo bench -p plugboard-tests --bench neighbours -- "$@"

# Installs sipp, Kamailio and baresip (Debian packages) when they are missing.
[private]
peers: (debian "sipp:sip-tester" "kamailio:kamailio" "/usr/lib/*/kamailio/modules/tls.so:kamailio-tls-modules" "/usr/lib/*/kamailio/modules/websocket.so:kamailio-websocket-modules" "baresip:baresip-core" "curl:curl")

# What the bench wants besides. It does without perf, but then it cannot tell the share of each stage.
[private]
bench-peers: (debian "openssl:openssl" "/usr/lib/*/kamailio/modules/tls.so:kamailio-tls-modules")
    -@command -v perf >/dev/null || "{{ just_executable() }}" debian perf:linux-perf

# What moves the code of the program that is shipped.
[private]
release-tools: (debian "/usr/lib/llvm-*/bin/llvm-bolt:bolt-19" "/usr/lib/llvm-*/lib/libbolt_rt_instr.a:libbolt-19-dev")

# Installs Debian packages, each named behind the program, or the file, that it is wanted for, where that is missing.
[private]
debian +WANTED:
    #!/bin/sh
    set -eu
    PATH=$PATH:/usr/sbin
    missing=
    for wanted in "$@"; do
        case $wanted in
            /*) ls ${wanted%:*} >/dev/null 2>&1 || missing="$missing ${wanted##*:}" ;;
            *) command -v "${wanted%:*}" >/dev/null || missing="$missing ${wanted##*:}" ;;
        esac
    done
    [ -n "$missing" ] || exit 0
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
    echo "installing Debian packages:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get install -qq --yes --no-install-recommends $missing >/dev/null ||
        { $as_root apt-get update -qq && $as_root apt-get install -qq --yes --no-install-recommends $missing >/dev/null; } ||
        { echo "these Debian packages are needed, and could not be installed:$missing" >&2; exit 1; }
