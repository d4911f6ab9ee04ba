#!/bin/sh
# Makes sure that this machine can build the plugin for wasm32-unknown-unknown, and installs what is missing.
#
# There are two ways, in the same order as in host/sandbucket/build/component.rs:
#   1. rustup's precompiled standard library for the target, added with `rustup target add`;
#   2. Debian's rustc-web, cargo-web and rust-web-src, which build the standard library from source, linked with the
#      wasm-component-ld of the rustup toolchain. For machines that reach package registries but not rustup's server.
set -eu

target=wasm32-unknown-unknown

say() { echo "toolchain: $*" >&2; }

command -v cargo >/dev/null 2>&1 && command -v rustc >/dev/null 2>&1 || {
    say "Rust is missing: install it with rustup (https://rustup.rs), version 1.95 or newer"
    exit 1
}

has_target() { ls "$(rustc --print sysroot)/lib/rustlib/$target/lib/"libstd-*.rlib >/dev/null 2>&1; }

has_debian() {
    # Both the compiler and the library source are required.
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] &&
        [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

has_target && { say "$target is installed"; exit 0; }

if command -v rustup >/dev/null 2>&1; then
    say "adding $target with rustup"
    if timeout 180 rustup target add "$target" >&2 && has_target; then
        exit 0
    fi
    say "rustup could not add it"
fi

has_debian && { say "Debian's Rust builds the standard library from source"; exit 0; }

if command -v apt-get >/dev/null 2>&1; then
    say "installing Debian's rustc-web, cargo-web and rust-web-src"
    root=""
    [ "$(id -u)" -eq 0 ] || root="sudo"
    $root apt-get update -qq >&2
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src >&2
    has_debian && exit 0
fi

say "found no way to build for $target: run 'rustup target add $target' where rustup's server can be reached"
exit 1
