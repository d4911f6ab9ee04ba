#!/usr/bin/env bash
# Packages the crates that are published, unpacks them in a folder outside the workspace, and builds there the command and a small
# server of another author's, as `cargo add sandbucket` and `cargo install sandbucket-cli` do: with the prebuilt plugin, without a
# WebAssembly target. Takes about seven CPU-minutes the first time, and one later.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Packages of what is here, committed or not.
SANDBUCKET_DIRTY=1 ./tests/packaging/crates.sh "$folder/crates"
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
crates=()
for package in "$folder"/crates/*.crate; do
    crate=$(basename "$package" "-$version.crate")
    crates+=("$crate")
    tar -xzf "$package" -C "$folder"
    mv "$folder/$crate-$version" "$folder/$crate"
    # A crate is complete: with its readme, its licences and no link out of itself.
    for file in README.md LICENSE-MIT LICENSE-APACHE; do test -s "$folder/$crate/$file" || { echo "$crate has no $file"; exit 1; }; done
    if [ -n "$(find "$folder/$crate" -type l)" ]; then echo "$crate has symbolic links"; exit 1; fi
done
for plugin in s3 azure; do
    cmp "host/sandbucket/plugin/sandbucket-$plugin.wasm" "$folder/sandbucket/plugin/sandbucket-$plugin.wasm"
done

cp -r tests/packaging/server tests/packaging/Cargo.toml "$folder"
# The versions that this repository is tested with.
cp Cargo.lock "$folder"
# The registry's part of what is built here is kept between runs.
export CARGO_TARGET_DIR=$target/packaging
# Nothing here builds for WebAssembly: an attempt fails.
unset SANDBUCKET_PLUGIN SANDBUCKET_AZURE_PLUGIN
rm -rf "$CARGO_TARGET_DIR/component"
cd "$folder"
cargo build --quiet --package server --package sandbucket-cli
if [ -e "$CARGO_TARGET_DIR/component" ]; then echo "the plugin was built from source"; exit 1; fi
"$CARGO_TARGET_DIR/debug/server"
# The number of settings shows that the command's own plugin runs.
test "$("$CARGO_TARGET_DIR/debug/sandbucket" settings --json | grep -c '"name"')" -gt 10
echo "packaging: ${#crates[@]} crates of version $version"
