#!/usr/bin/env bash
# Installs, checks, tests and builds the Python package. Without Python 3.11 and venv it is left out, aloud.
set -euo pipefail
# Cargo and the tests run in other folders than the caller.
case "${CARGO_TARGET_DIR:-}" in
"" | /*) ;;
*) export CARGO_TARGET_DIR="$PWD/$CARGO_TARGET_DIR" ;;
esac
cd "$(dirname "$0")"

left_out() {
    echo "make python: LEFT OUT: $1; the Python package was not tested"
    exit 0
}

command -v python3 >/dev/null || left_out "python3 is not here (Python 3.11 or newer)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || left_out "$(python3 --version) is here, and 3.11 or newer is needed"
python3 -c 'import ensurepip, venv' 2>/dev/null || left_out "python3 has no venv (Debian: apt-get install python3-venv)"

# What the tests talk to, and the rogue plugin, which the build script of the tests makes. Features are those of `make test`, so that it
# compiles no crate again.
target="${CARGO_TARGET_DIR:-../../target}"
(cd ../.. && ${CARGO:-cargo} build ${CRATES:-} --bin sandbucket --bin sandbucket-scenarios)
[ -f "$target/component/sandbucket-rogue.wasm" ] || (cd ../.. && ${CARGO:-cargo} build ${CRATES:-} --lib)

# A complete installation of these requirements is kept, with the wheels of the package's dependencies. Only this step needs an index.
wanted="$(cat pyproject.toml tests/requirements.txt | cksum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --requirement tests/requirements.txt --editable .
    .venv/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' >.venv/dependencies
    .venv/bin/python -m pip download --quiet --dest .venv/wheels --requirement .venv/dependencies
    echo "$wanted" >.venv/installed
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/pytest "$@"

# The packages, and the wheel in an environment of its own.
rm -rf dist .venv-wheel
./build.sh dist
python3 -m venv .venv-wheel
.venv-wheel/bin/python -m pip install --quiet --no-index --find-links .venv/wheels dist/*.whl
.venv-wheel/bin/python -P - <<'END'
import sandbucket

try:
    sandbucket.Store(bucket="demo", endpoint="http://127.0.0.1:9").head("k")
except sandbucket.NetworkError as error:
    assert "loopback" in str(error), error
else:
    raise SystemExit("a loopback address was connected to")
print("the wheel is complete: plugin", sandbucket.Engine().digest[:12])
END
rm -rf .venv-wheel
ls -l dist
