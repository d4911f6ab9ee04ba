#!/bin/sh
# Builds Garage if it is missing: once per machine, outside the checkout, in about ten minutes.
# `SANDBUCKET_GARAGE` names another binary.
set -eu

version=$(cat "$(dirname "$0")/garage-version")
root="${XDG_CACHE_HOME:-$HOME/.cache}/sandbucket/garage-$version"

if [ -n "${SANDBUCKET_GARAGE:-}" ]; then
    [ -x "$SANDBUCKET_GARAGE" ] || { echo "garage: SANDBUCKET_GARAGE names $SANDBUCKET_GARAGE, which is no program" >&2; exit 1; }
    exit 0
fi
[ -x "$root/bin/garage" ] && exit 0
echo "garage: building version $version into $root" >&2
# cargo install moves the binary into place once it is complete, so that an interrupted build leaves none. In a directory of its
# own, because the checkout's toolchain file and Cargo configuration must not apply to Garage.
mkdir -p "$root"
cd "$root"
exec cargo install garage --version "$version" --locked --no-default-features --features bundled-libs,sqlite --root "$root"
