#!/usr/bin/env bash
# Installs, transpiles, tests and packs the npm package. Without Node 20 and npm it is left out, aloud.
set -euo pipefail
# Relative paths are the caller's, while the commands below run in several folders.
for name in CARGO_TARGET_DIR SANDBUCKET_BIN SANDBUCKET_SCENARIOS SANDBUCKET_ROGUE SANDBUCKET_PLUGIN SANDBUCKET_AZURE_PLUGIN; do
    path="${!name:-}"
    [ -z "$path" ] || [ "${path#/}" != "$path" ] || export "$name=$PWD/$path"
done
cd "$(dirname "$0")/.."

left_out() {
    echo "make node: LEFT OUT: $1; the npm package was not tested"
    exit 0
}

command -v node >/dev/null || left_out "node is not here (Node 20 or newer)"
command -v npm >/dev/null || left_out "npm is not here"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || left_out "node is $(node --version), and 20 or newer is needed"

# What the tests talk to, and with a test of Rust the rogue plugin. Features are those of `make test`: no crate is compiled again.
(cd ../.. && ${CARGO:-cargo} build ${CRATES:---workspace} --bin sandbucket --bin sandbucket-scenarios --test drivers)

./scripts/install.sh
npm run --silent transpile
npm test
npm pack --dry-run
