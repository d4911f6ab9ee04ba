#!/usr/bin/env bash
# Installs what transpiles, tests and packs the npm package. A complete installation of this lock file is kept.
set -euo pipefail
cd "$(dirname "$0")/.."

node scripts/installed.js || npm ci
