#!/bin/sh
# Starts or stops Ceph on loopback, from Debian's packages: a monitor, a manager, one OSD in memory and a RADOS Gateway.
# usage: ceph.sh start|stop
#
# Serves S3 at http://127.0.0.1:7480 for the keys minioadmin/minioadmin. The first start takes about two minutes.
set -eu

root=${SANDBUCKET_CEPH:-${TMPDIR:-/tmp}/sandbucket-ceph}
url=http://127.0.0.1:7480/
export CEPH_CONF="$root/ceph.conf"

say() { echo "ceph: $*" >&2; }
responds() { python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)' "$url" 2>/dev/null; }

# Waits up to $1 seconds for a command to succeed.
until_it() {
    left=$1; shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { say "$* does not come true: see $root/log"; exit 1; }
        sleep 1
    done
}

stop() {
    for pid in "$root"/*.pid; do
        [ -f "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$root"
}

case ${1:-start} in
    start) ;;
    stop) stop; exit 0 ;;
    *) say "usage: ceph.sh start|stop"; exit 2 ;;
esac

responds && { say "it runs at $url"; exit 0; }

if ! command -v radosgw >/dev/null 2>&1; then
    command -v apt-get >/dev/null 2>&1 || { say "install Ceph's monitor, manager, OSD and RADOS Gateway first"; exit 1; }
    say "installing Debian's packages"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        ceph-mon ceph-mgr ceph-osd radosgw ceph-common >/dev/null
fi

stop
mkdir -p "$root/mon" "$root/mgr" "$root/osd" "$root/rgw" "$root/log"
cluster=$(cat /proc/sys/kernel/random/uuid)
disk=$(cat /proc/sys/kernel/random/uuid)
keys=$root/rgw/keyring

cat > "$CEPH_CONF" <<END
[global]
fsid = $cluster
mon host = [v2:127.0.0.1:3300/0,v1:127.0.0.1:6789/0]
mon initial members = a
run dir = $root
pid file = $root/\$name.pid
admin socket = $root/\$name.asok
log file = $root/log/\$name.log
keyring = $keys
mon data = $root/mon
mgr data = $root/mgr
osd data = $root/osd
rgw data = $root/rgw
# One disk in memory, without replicas.
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
mon allow pool size one = true
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = false
rgw frontends = beast endpoint=127.0.0.1:7480
rgw dns name = localhost
[mon.a]
host = localhost
END

# A key with all capabilities for each daemon.
ceph-authtool --create-keyring "$keys" --gen-key -n mon. --cap mon 'allow *' >/dev/null
for name in client.admin client.rgw mgr.x osd.0; do
    ceph-authtool "$keys" --gen-key -n "$name" --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
done
monmaptool --create --fsid "$cluster" --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' "$root/monmap" >/dev/null
ceph-mon -i a --mkfs --monmap "$root/monmap" --keyring "$keys"
ceph-mon -i a
ceph auth import -i "$keys" 2>/dev/null
ceph-mgr -i x
ceph osd new "$disk" >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$disk" 2>/dev/null
ceph-osd -i 0 2>/dev/null
is_up() { ceph osd stat 2>/dev/null | grep -q '1 up'; }
until_it 60 is_up
radosgw -n client.rgw
until_it 120 responds
radosgw-admin user create --uid tests --display-name tests --access-key minioadmin --secret-key minioadmin >/dev/null 2>&1
say "it runs at $url"
