#!/usr/bin/env python3
"""awslabs/aws-sdk-rust#1417, aws/aws-sdk-js#281, apache/datafusion#10478: idle connections are dead without a FIN, because a NAT, firewall
or load balancer dropped them; new connections work. An attempt without a response on a reused connection is retried on a new one, and
idle connections of the same age are discarded. The first 8 connections answer once and are dead from then on; 9, then 12 files."""
from _server import *

def h(q):
    if q.conn_id <= 8 and q.nth > 1: raise Hang()
    time.sleep(0.3 if q.conn_id <= 8 else 0)
    if q.method == "PUT": return resp(200, {"ETag": '"e"'})
    return err(404, "NoSuchKey", head=q.method == "HEAD")
for n in (9, 12):
    s = Server(h); c = conf(f"http://127.0.0.1:{s.port}", timeout="2s")
    d = WORK + f"/d{n}"; os.makedirs(d)
    for i in range(n): open(f"{d}/f{i:02}", "w").write("x" * 100)
    r = sb(c, "cp", "-r", d, "store:d", limit=200)
    keys = {q.path for q in s.log if q.method == "PUT" and not (q.conn_id <= 8 and q.nth > 1)}
    dead = [q for q in s.log if q.conn_id <= 8 and q.nth > 1]
    check(r.rc == 0 and len(keys) == n, f"all {n} arrive", (len(keys), r.err.decode()[-400:]))
    check(r.secs < 5, "after one timeout (2 s) at most", f"{r.secs:.1f} s, {s.conns} connections, {len(dead)} requests on dead ones")
done()
