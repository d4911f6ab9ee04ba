#!/bin/sh
# Runs the fuzz targets one after another and prints a table of the results (`make fuzz`). Fails if there is a finding.
#
#   FUZZ_SECONDS   seconds per target; default 300, which is an hour and five minutes for all thirteen
#   FUZZ_TARGETS   names of targets; default all
#   FUZZ_TOOLCHAIN a nightly toolchain of rustup; default `nightly`
#
# target/fuzz/corpus keeps libFuzzer's new inputs for the next run, target/fuzz/artifacts the findings. Commit a finding to
# tests/fuzz/corpus together with its fix: `make test` replays it.
set -eu

cd "$(dirname "$0")/../.."
root=$PWD
seconds=${FUZZ_SECONDS:-300}
toolchain=${FUZZ_TOOLCHAIN:-nightly}
targets=${FUZZ_TARGETS:-$(sed -n 's/^name = "\(\(guest\|host\)_.*\)"$/\1/p' tests/fuzz/fuzz/Cargo.toml)}

PATH=$root/target/tools/bin:$PATH
if ! command -v cargo-fuzz >/dev/null; then
	cargo install --locked --root target/tools cargo-fuzz
fi
if ! rustc "+$toolchain" --version >/dev/null 2>&1; then
	echo "fuzz: there is no toolchain $toolchain: rustup toolchain install $toolchain --profile minimal" >&2
	exit 1
fi

# No target runs the plugin as WebAssembly, so none is built. The code is safe Rust: sanitizers would find nothing that panics do
# not, at half the speed.
export SANDBUCKET_PLUGIN=/dev/null SANDBUCKET_AZURE_PLUGIN=/dev/null
fuzz() {
	cargo "+$toolchain" fuzz "$@"
}
options="--fuzz-dir tests/fuzz/fuzz --target-dir target/fuzz --sanitizer none"
# The host's targets build wasmtime, which takes many minutes.
case $targets in
*host_*) ;;
*) options="$options --no-default-features" ;;
esac
fuzz build $options

table=$(printf '%-22s %12s %8s %9s' target executions seconds findings)
findings=0
for target in $targets; do
	corpus=target/fuzz/corpus/$target artifacts=target/fuzz/artifacts/$target log=target/fuzz/$target.log
	mkdir -p "$corpus" "$artifacts"
	began=$(date +%s)
	fuzz run $options "$target" "$root/$corpus" "$root/tests/fuzz/corpus/$target" -- \
		-max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$root/$artifacts/" >"$log" 2>&1 && found=0 || found=1
	took=$(($(date +%s) - began))
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	row=$(printf '%-22s %12s %8s %9s' "$target" "${executions:-?}" "$took" "$found")
	echo "$row"
	table="$table
$row"
	if [ "$found" = 1 ]; then
		findings=$((findings + 1))
		reproducer=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
		table="$table
    ${reproducer:-see $log}"
		grep -m 3 -A 2 'panicked at\|ERROR' "$log" || tail -n 5 "$log"
	fi
done

echo
echo "$table"
[ "$findings" = 0 ]
