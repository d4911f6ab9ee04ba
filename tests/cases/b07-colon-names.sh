#!/bin/bash
# aws/aws-cli#1154 (a limit of Windows): on Linux `:` and `\` are ordinary characters in file names. What `cp -r` uploads comes
# back by `cp -r`.
BIN=$(realpath "${SANDBUCKET:-target/release/sandbucket}"); D=$(mktemp -d); trap 'kill $S 2>/dev/null; rm -rf $D' EXIT; cd $D
$BIN dev-server -l 127.0.0.1:0 data > toml 2>log & S=$!
for i in $(seq 100); do grep -q endpoint toml && break; sleep 0.1; done
sed -n '/^\[store/,$p' toml > sandbucket.toml
mkdir src; echo 1 > 'src/2024-01-01T12:30:00.log'; echo 2 > 'src/back\slash'; echo 3 > src/plain; printf 4 > $'src/new\nline'; printf 5 > 'src/ lead and trail '; printf 6 > 'src/a%2Fb+c?d#e&f;g'; printf 7 > 'src/-dash'
$BIN cp -r src store:x; echo "up: exit $?"; $BIN cp -r store:x back; echo "down: exit $?"
diff -r src back && echo RIGHT || { echo "WRONG: not all came back"; exit 1; }
