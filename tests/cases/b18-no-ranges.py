#!/usr/bin/env python3
"""leo-project/leofs#376, and proxies and caches without ranges: Range is ignored, and the whole object comes with a 200. The bytes are right, and
a parallel download does not fetch the whole object once for each part."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    sent = 0
    def on_GET(self):
        d = self.found()
        if d is None: return
        self.send_response(200); self.send_header("ETag", '"e"'); self.send_header("Last-Modified", LM); self.send_header("Content-Length", str(len(d))); self.end_headers()
        try:
            for i in range(0, len(d), 1 << 16):
                self.wfile.write(d[i:i + (1 << 16)])
                with self.lock: H.sent += len(d[i:i + (1 << 16)])
        except OSError: self.close_connection = True
b = Box(H); big = os.urandom(int(os.environ.get("MIB","64")) << 20); H.objects = {"big": big}; ok = True
for args, want in ((["get", "big", "-r", "100-199"], big[100:200]), (["get", "big", "-r", "-10"], big[-10:]), (["get", "big"], big), (["cp", "store:big", "-"], big)):
    H.sent = 0; H.seen.clear(); r = b.run(*args); good = r.returncode == 0 and r.out == want
    print(f"   right bytes: {good}; the service sent {H.sent / (1 << 20):.0f} MiB in {len(H.seen)} requests for {len(want)} bytes"); ok &= good and H.sent < 3 * len(big)
verdict(ok, "downloads from a service that knows no ranges")
