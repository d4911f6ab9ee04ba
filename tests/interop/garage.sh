#!/bin/sh
# Makes sure that Garage is here, and builds it where it is not: once a machine, outside the checkout, in about ten minutes.
# `SANDBUCKET_GARAGE` names another build of it.
set -eu

version=$(cat "$(dirname "$0")/garage-version")
root="${XDG_CACHE_HOME:-$HOME/.cache}/sandbucket/garage-$version"

if [ -n "${SANDBUCKET_GARAGE:-}" ]; then
    [ -x "$SANDBUCKET_GARAGE" ] || { echo "garage: SANDBUCKET_GARAGE names $SANDBUCKET_GARAGE, which is no program" >&2; exit 1; }
    exit 0
fi
[ -x "$root/bin/garage" ] && exit 0
echo "garage: building version $version into $root" >&2
# Built beside what it is to be, so that no half-made one is taken for it. From a folder of its own: a toolchain or a
# configuration of the checkout's is none of Garage's business.
mkdir -p "$root"
cd "$root"
exec cargo install garage --version "$version" --locked --no-default-features --features bundled-libs,sqlite --root "$root"
