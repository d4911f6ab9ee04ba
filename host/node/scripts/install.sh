#!/usr/bin/env bash
# Installs what transpiles, tests and packs the npm package. A complete installation of this lock file is kept.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cmp -s package-lock.json node_modules/.sandbucket-lock; then
    npm ci
    cp package-lock.json node_modules/.sandbucket-lock
fi
