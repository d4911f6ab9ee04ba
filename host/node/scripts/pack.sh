#!/usr/bin/env bash
# Packs the npm package into a folder: pack.sh FOLDER. npm writes sorted archives without times.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

command -v npm >/dev/null || { echo "npm is not here, which comes with Node 20 or newer"; exit 1; }
./scripts/install.sh
npm pack --pack-destination "$folder"
