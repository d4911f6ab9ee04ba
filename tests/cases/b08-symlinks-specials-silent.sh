#!/bin/bash
# nextflow-io/nextflow#7515 (silent data loss: linked folders left out), s3tools/s3cmd#599 (warn when skipping), peak/s5cmd#498
# (FIFO): `cp -r` of a folder with a link to a folder, a FIFO and a socket. Whatever is left out is reported; aws-cli follows links,
# and exits with 2 after a warning for special files; rclone logs a NOTICE for each.
BIN=$(realpath "${SANDBUCKET:-target/release/sandbucket}"); D=$(mktemp -d); trap 'kill $S 2>/dev/null; rm -rf $D' EXIT; cd $D
$BIN dev-server -l 127.0.0.1:0 data > toml 2>log & S=$!
for i in $(seq 100); do grep -q endpoint toml && break; sleep 0.1; done
sed -n '/^\[store/,$p' toml > sandbucket.toml
mkdir -p src real; echo important > real/data.txt; ln -s ../real src/linked; mkfifo src/fifo; echo 1 > src/plain
timeout 30 $BIN cp -r src store:x > out 2>&1; e=$?; cat out; echo "exit $e"; $BIN ls -r x/
grep -q linked out || { echo "WRONG: the linked folder (with important data) was left out without a word, exit $e"; bad=1; }
grep -q fifo out || { echo "WRONG: the FIFO was left out without a word, exit $e"; bad=1; }
exit ${bad:-0}
