#!/usr/bin/env bash
# Packages the crates that are published into a folder: crates.sh FOLDER. SANDBUCKET_DIRTY=1 packages uncommitted changes as well.
# Cargo writes sorted archives without times, with the commit inside.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

crates=(sha256-multi sandbucket sandbucket-dev-server sandbucket-object-store sandbucket-wasi-blobstore sandbucket-gateway sandbucket-cli)
packages=()
for crate in "${crates[@]}"; do packages+=(--package "$crate"); done
if [ "${SANDBUCKET_DIRTY:-}" = 1 ]; then packages+=(--allow-dirty); fi
${CARGO:-cargo} package "${packages[@]}" --no-verify --locked --quiet

version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
for crate in "${crates[@]}"; do cp "${CARGO_TARGET_DIR:-target}/package/$crate-$version.crate" "$folder"; done
