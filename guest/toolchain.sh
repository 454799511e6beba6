#!/bin/sh
# Finds or fetches a Rust toolchain that compiles for wasm32-unknown-unknown, once, and prints the shell assignments
# that make cargo use it:
#
#     eval "$(guest/toolchain.sh)"
#     cargo build $GUEST_CARGO_FLAGS --target wasm32-unknown-unknown ...
#
# In this order: the target that the installed rustc has; the one that rustup can add; Debian's rustc-web with the
# sources of its standard library, unpacked without root into the user's cache folder.
#
# PLUGBOARD_GUEST_TOOLCHAIN=rustup or =debian allows only that way.
set -eu

target=wasm32-unknown-unknown
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plugboard
way=${PLUGBOARD_GUEST_TOOLCHAIN:-any}
rustup_seconds_max=60

main() {
    mkdir -p "$cache"
    if [ "$way" != debian ]; then
        installed && { print_installed; return; }
    fi
    if [ "$way" != rustup ]; then
        unpacked && { print_debian; return; }
    fi

    # Two builds at once: the second waits for what the first fetches.
    exec 9>"$cache/guest-toolchain.lock"
    flock 9
    if [ "$way" != debian ]; then
        add_with_rustup && { print_installed; return; }
    fi
    if [ "$way" != rustup ]; then
        unpacked || unpack_debian
        print_debian
        return
    fi
    die "rustup could not add the target $target"
}

# --- the rustc that is installed ---

installed() {
    ls "$(rustc --print target-libdir --target "$target" 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1
}

add_with_rustup() {
    installed && return
    command -v rustup >/dev/null || return 1
    say "adding the target $target with rustup"
    timeout "$rustup_seconds_max" rustup --quiet target add "$target" >"$cache/rustup.log" 2>&1 && installed && return
    say "rustup could not add it (see $cache/rustup.log)"
    return 1
}

print_installed() {
    echo "GUEST_CARGO_FLAGS=''"
}

# --- Debian's packages ---

# The newest unpacked toolchain; `root` is its folder.
unpacked() {
    for root in "$cache"/guest-rust-*; do
        [ -e "$root/complete" ] || continue
        case $root in *.partial) continue ;; esac
        found=$root
    done
    root=${found:-}
    [ -n "$root" ]
}

unpack_debian() {
    for tool in apt-get apt-cache dpkg dpkg-query; do
        command -v "$tool" >/dev/null || die "no $target in the installed Rust, and no Debian packages without $tool.
Add it with: rustup target add $target"
    done
    candidate rustc-web >/dev/null || refresh_lists
    version=$(candidate rustc-web) || die "apt offers no package rustc-web; try: apt-get update"
    std=$(depends libstd-rust-web-dev | grep '^libstd-rust-web-' | head -n 1)
    llvm=$(depends "$std" | sed -n 's/^libllvm\([0-9][0-9]*\).*/\1/p' | head -n 1)
    [ -n "$llvm" ] || die "apt does not say which LLVM $std needs"

    root=$cache/guest-rust-$(echo "$version" | tr -c 'A-Za-z0-9.\n' -)
    partial=$root.partial
    rm -rf "$partial"
    mkdir -p "$partial/packages"
    say "fetching Rust $version for $target from Debian (about 130 MB, once)"
    # shellcheck disable=SC2046 # one word per package is meant
    (cd "$partial/packages" && apt-get -q download rustc-web libstd-rust-web-dev rust-web-src \
        $(missing "$std" "lld-$llvm")) >"$cache/apt.log" 2>&1 ||
        die "the packages could not be fetched (see $cache/apt.log); try: apt-get update"
    say "unpacking it into $root"
    for package in "$partial"/packages/*.deb; do
        dpkg -x "$package" "$partial"
    done
    rm -rf "$partial/packages"
    [ -x "$partial/usr/lib/llvm-$llvm/bin/wasm-ld" ] || die "lld-$llvm holds no wasm-ld"
    # Debian's link to the sources is absolute; cargo looks for them below the compiler's own folder.
    sources=$(echo "$partial"/usr/src/rustc-*)
    [ -d "$sources/library/std" ] || die "rust-web-src holds no standard library"
    mkdir -p "$partial/usr/lib/rustlib/src"
    rm -rf "$partial/usr/lib/rustlib/src/rust"
    ln -s "../../../src/${sources##*/}" "$partial/usr/lib/rustlib/src/rust"
    echo "$llvm" >"$partial/complete"
    rm -rf "$root"
    mv "$partial" "$root"
}

print_debian() {
    llvm=$(cat "$root/complete")
    libraries=$root/usr/lib/$(gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)
    cat <<END
export RUSTC='$root/usr/bin/rustc'
export RUSTC_BOOTSTRAP=1
export LD_LIBRARY_PATH='$libraries:$root/usr/lib/llvm-$llvm/lib'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER='$root/usr/lib/llvm-$llvm/bin/wasm-ld'
GUEST_CARGO_FLAGS='-Z build-std=std,panic_abort'
END
}

candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v '(none)'
}

# Direct dependencies.
depends() {
    apt-cache depends --important "$1" | sed -n 's/^ *Depends: *//p'
}

# The packages given, and everything they need that is not installed.
missing() {
    printf '%s\n' "$@"
    apt-cache depends --recurse --important --no-pre-depends \
        --no-conflicts --no-breaks --no-replaces --no-enhances "$@" | grep '^[a-z0-9]' | sort -u |
        while read -r package; do
            case " $* " in *" $package "*) continue ;; esac
            status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
            [ "$status" = installed ] || echo "$package"
        done
}

refresh_lists() {
    [ "$(id -u)" = 0 ] || die "apt has no package lists here; as root: apt-get update"
    say "fetching apt's package lists"
    apt-get -q update >"$cache/apt.log" 2>&1 || die "apt-get update failed (see $cache/apt.log)"
}

say() { echo "guest toolchain: $*" >&2; }
die() { say "$*"; exit 1; }

main
