#!/usr/bin/env bash
# Builds the wheel and the source distribution into a folder: build.sh FOLDER. With SOURCE_DATE_EPOCH both are reproducible: the build
# backend is of the version in build-requirements.txt, and archives are sorted. SANDBUCKET_TOOLS is where its environment is kept.
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")"

python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    { echo "no Python 3.11 or newer with venv is here (Debian: apt-get install python3-venv)"; exit 1; }
tools="${SANDBUCKET_TOOLS:-${CARGO_TARGET_DIR:-../../target}/tools}/python-build"
# A complete installation of these requirements is kept.
if ! cmp -s build-requirements.txt "$tools/installed"; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet --requirement build-requirements.txt
    cp build-requirements.txt "$tools/installed"
fi

# A source distribution keeps links: plugin and licences are links to the only copies in the repository.
rm -rf build
mkdir build
trap 'rm -rf build' EXIT
cp -RL pyproject.toml README.md LICENSE-MIT LICENSE-APACHE src build
find build -name __pycache__ -prune -exec rm -r {} +
# Modes go into the archives: not those of this machine's umask.
chmod -R u=rwX,go=rX build
"$tools/bin/python" -m build --no-isolation --outdir "$folder" build >/dev/null
