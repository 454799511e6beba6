#!/bin/sh
# Builds controller.py as a component: ./build.sh [OUT.wasm]; without an argument it becomes target/guests/python.wasm.
# Installs componentize-py from PyPI into the user's cache folder the first time. Quick when nothing changed.
set -eu
cd "$(dirname "$0")"

version=0.25.1
wit=../../../wit
out=${1:-../../../target/guests/python.wasm}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plugboard
tools=$cache/componentize-py-$version

main() {
    mkdir -p "$cache" "$(dirname "$out")"
    # Two builds at once: the second waits for what the first fetches and builds.
    exec 9>"$cache/componentize-py.lock"
    flock 9
    [ -e "$tools/complete" ] || install
    is_new && return
    "$tools/bin/componentize-py" --quiet --wit-path "$wit" --world call-controller componentize controller -o "$out.partial"
    mv "$out.partial" "$out"
    echo "$out"
}

install() {
    rm -rf "$tools"
    python3 -m venv "$tools" || die "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "componentize-py==$version" ||
        die "pip could not install componentize-py $version from PyPI"
    touch "$tools/complete"
}

is_new() {
    [ -e "$out" ] || return 1
    for source in controller.py build.sh "$wit"/*.wit; do
        [ "$out" -nt "$source" ] || return 1
    done
}

die() { echo "python example: $*" >&2; exit 1; }

main
