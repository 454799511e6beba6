#!/bin/sh
# Builds every guest for wasm32-unknown-unknown and encodes it as a component in target/guests. Quick when nothing
# changed. Has a target folder of its own, so that it never waits for a build of the host.
set -eu
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
built=target/guest/$target/guest

main() {
    # The encoder runs here, so it is built with the installed Rust, before the guest's is chosen.
    [ -x target/guest/debug/plugboard-encode ] || echo "guests: building the component encoder first" >&2
    cargo build --package plugboard-encode --target-dir target/guest
    toolchain=$(guest/toolchain.sh)
    compile --package plugboard-controller --package plugboard-office-hours --package plugboard-fixtures --lib --examples
    encode "$built"/plugboard_controller.wasm "$built"/plugboard_office_hours.wasm
    # Beside NAME.wasm cargo leaves NAME-HASH.wasm; the names of guests have no hyphen.
    for module in "$built"/examples/*.wasm; do
        case ${module##*/} in *-*) ;; *) encode "$module" ;; esac
    done
}

compile() (
    eval "$toolchain"
    # shellcheck disable=SC2086 # the flags are separate words
    cargo build $GUEST_CARGO_FLAGS --profile guest --target "$target" --target-dir target/guest "$@"
)

encode() { target/guest/debug/plugboard-encode target/guests "$@"; }

main
