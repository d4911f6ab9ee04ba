#!/bin/bash
# Pipes and limits: aws/aws-cli#5749 (closed standard input uploads an empty object), head, /dev/full, ulimit -n (peak/s5cmd "too
# many open files"), ulimit -f, unreadable files and folders, exit statuses, progress on a pipe.
BIN=$(realpath "${SANDBUCKET:-target/release/sandbucket}"); D=$(mktemp -d); trap 'kill $S 2>/dev/null; rm -rf $D' EXIT; cd $D; bad=0
$BIN dev-server -l 127.0.0.1:0 data > toml 2>log & S=$!
for i in $(seq 100); do grep -q endpoint toml && break; sleep 0.1; done
sed -n '/^\[store/,$p' toml > sandbucket.toml; export SANDBUCKET_CONFIG=$D/sandbucket.toml
wrong() { echo "WRONG: $*"; bad=1; }
echo precious | $BIN put k 2>/dev/null
$BIN put k <&- ; e=$?; [ "$($BIN get k)" = precious ] || wrong "put k with closed standard input overwrote the blob by $($BIN get k | wc -c) bytes, exit $e (aws-cli: StdinMissingError)"
head -c 50000000 /dev/urandom > big; $BIN put big big 2>/dev/null
$BIN get big 2>err | head -c 10 >/dev/null; e=${PIPESTATUS[0]}; [ $e = 141 ] && [ ! -s err ] || wrong "get | head: exit $e: $(cat err)"
$BIN get big > /dev/full 2>err; e=$?; [ $e = 1 ] && grep -q space err || wrong "get > /dev/full: exit $e: $(cat err)"
$BIN ls > /dev/full 2>err; e=$?; [ $e = 1 ] && grep -q space err || wrong "ls > /dev/full: exit $e: $(cat err)"
$BIN get big out.bin 2>&1 | grep -q '[=>]\{3\}' && wrong "a progress bar on a pipe"
mkdir f; (cd f; $BIN get big out.bin) 2>/dev/null; cmp big f/out.bin || wrong "get differs"
mkdir lim; (ulimit -f 10000; cd lim; $BIN get big out.bin) 2>err; e=$?; echo "ulimit -f: exit $e: $(tail -1 err); left: $(ls -A lim)"; [ -z "$(ls -A lim)" ] || wrong "file size limit: left $(ls -A lim), exit $e"
mkdir many; for i in $(seq 300); do echo $i > many/$i; done
(ulimit -n 40; $BIN cp -r -j 64 many store:many) > err 2>&1; e=$?; [ $e = 0 ] || wrong "cp -r -j 64 with 40 file descriptors: exit $e, $(grep -c error: err) errors, the first: $(grep -m1 error: err)"
mkdir -p perm/closed; echo 1 > perm/ok; echo 2 > perm/secret; echo 3 > perm/closed/x; chmod 000 perm/secret perm/closed; chmod 755 $D; chmod 644 sandbucket.toml
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp $BIN cp -r perm store:perm > err 2>&1; e=$?; cat err | head; [ $e = 1 ] && [ "$($BIN ls -r perm/ | wc -l)" = 1 ] && grep -q secret err && grep -q closed err || wrong "unreadable: exit $e"
  mkdir ro; echo old > ro/k; chmod 555 ro; setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/tmp $BIN get k ro/k; e=$?; [ $e = 1 ] && [ "$(cat ro/k)" = old ] || wrong "read-only folder: exit $e"
fi
$BIN get nosuch 2>/dev/null; [ $? = 3 ] || wrong "exit code of a missing key"
$BIN cp -r store:nosuch gone; echo "cp -r of a prefix with nothing below: exit $?"; $BIN cp -r store:k gone2; echo "cp -r of a single blob: exit $?, $(ls gone2 2>&1)"
$BIN ls nosuch/; echo "ls of nothing: exit $?"
echo x > -dash; $BIN put d ./-dash 2>/dev/null; $BIN put -- -d ./-dash 2>/dev/null || wrong "key that begins with a dash"
chmod -R 755 perm; exit $bad
