#!/usr/bin/env python3
"""rclone/rclone#3579, ClickHouse/ClickHouse#53533, Alluxio/alluxio#14464, aws/aws-sdk-go-v2#712: CompleteMultipartUpload (Amazon: "could take
several minutes") and CopyObject take longer than `timeout`, while the service continues. Scaled down ten times: timeout = 3 s for the
default of 30 s; 4.5 s for 45 s, 15 s for 150 s, which is more than four attempts."""
import sys, os, time, email.utils; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
SLOW = 0.0
class H(S3):
    def on_HEAD(self):                                       # written now: so that an old date does not matter here (see 30)
        d = self.found()
        if d is not None: self.send(200, b"", [("ETag", self.etag(d)), ("Last-Modified", email.utils.formatdate(time.time(), usegmt=True)), ("Content-Length", str(len(d)))])
    def complete(self):
        parts = self.uploads.get(self.q["uploadId"])
        if parts is not None:                                # what it began it ends, whatever comes in between
            time.sleep(SLOW); self.uploads.setdefault(self.q["uploadId"], parts) if not H.done else None
        H.done = H.done or parts is not None
        try: super().complete()
        except OSError: pass
    def on_PUT(self):
        if self.headers.get("x-amz-copy-source"): time.sleep(SLOW)
        try: super().on_PUT()
        except OSError: pass
b = Box(H, extra='timeout = "3s"'); open(b.path("f"), "wb").write(os.urandom(20 << 20)); bad = []
for SLOW in (4.5, 15.0):
    H.objects.clear(); H.seen.clear(); H.done = False; t = time.time(); r = b.run("put", "k", "f", timeout=400); took = time.time() - t
    n = len([s for s in H.seen if s[0] == "POST" and "uploadId" in s[1]]); d = len([s for s in H.seen if s[0] == "DELETE"]); there = "k" in H.objects; time.sleep(max(0, SLOW + 1 - took) + 5)
    print(f"   complete of {SLOW} s: exit {r.returncode} after {took:.0f} s, asked {n} times, aborted {d} times; there then: {there}, and later: {'k' in H.objects}")
    if r.returncode and not ("lost" in r.err or "read the key" in r.err): bad.append(f"complete of {SLOW} s: exit {r.returncode}, not said that it may be there")
    H.objects["a"] = b"x"; H.seen.clear(); t = time.time(); r = b.run("cp", "store:a", "store:b", timeout=400); n = len([s for s in H.seen if s[0] == "PUT"])
    print(f"   copy of {SLOW} s: exit {r.returncode} after {time.time() - t:.0f} s, asked {n} times; there: {'b' in H.objects}")
    if r.returncode: bad.append(f"copy of {SLOW} s: exit {r.returncode}, asked {n} times")
verdict(not bad, f"{bad}")
