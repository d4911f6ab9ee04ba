#!/bin/bash
# aws/aws-cli#2217, aws/aws-cli#1373: a download to a named pipe, a device or >(process) writes into it and never replaces it
# by a regular file. As root, replacing /dev/null or /dev/stdout would break them for every process.
BIN=$(realpath "${SANDBUCKET:-target/release/sandbucket}"); D=$(mktemp -d); trap 'kill $S 2>/dev/null; rm -rf $D' EXIT; cd $D
$BIN dev-server -l 127.0.0.1:0 data > toml 2>log & S=$!
for i in $(seq 100); do grep -q endpoint toml && break; sleep 0.1; done
sed -n '/^\[store/,$p' toml > sandbucket.toml; echo hello | $BIN put k 2>/dev/null || { cat toml log; exit 3; }
bad=0
mkfifo pipe; (timeout 10 cat pipe > got) & C=$!
timeout 20 $BIN get k pipe; echo "get to a fifo: exit $?"
[ -p pipe ] || { echo "WRONG: the named pipe was replaced by: $(ls -l pipe)"; bad=1; }
kill $C 2>/dev/null; wait $C 2>/dev/null
ln -s /dev/null null; $BIN get k null; [ "$(readlink null)" = /dev/null ] || { echo "WRONG: a link to /dev/null was replaced by: $(ls -l null)"; bad=1; }
if mknod dev c 1 3 2>/dev/null; then $BIN get k dev; [ -c dev ] || { echo "WRONG: a copy of the device /dev/null was replaced by: $(ls -l dev)"; bad=1; }
  rm -f dev; mknod dev c 1 3; $BIN cp store:k dev; [ -c dev ] || { echo "WRONG (cp): the device was replaced by: $(ls -l dev)"; bad=1; }; fi
$BIN get k >(cat > sub); e=$?; sleep 0.3; [ $e = 0 ] && [ "$(cat sub)" = hello ] || { echo "WRONG: get k >(cat > sub): exit $e"; bad=1; }
exit $bad
