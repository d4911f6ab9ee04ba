#!/usr/bin/env python3
"""A `sync --delete` that a signal ends leaves no parts at the service and no temporary file, deletes nothing, and exits with 128 + n."""
import sys, os, signal, time; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    reached = threading.Event()
    def on_PUT(self):
        if "uploadId" in self.q: H.reached.set(); time.sleep(0.5)
        super().on_PUT()
    def on_GET(self):
        if self.key != "x/big": return super().on_GET()
        self.send(200, b"", [("ETag", '"e"'), ("Last-Modified", LM), ("Content-Length", str(20 << 20))])
        try:
            for i in range(200): self.wfile.write(bytes(100 << 10)); H.reached.set(); time.sleep(0.1)
        except OSError: pass
b = Box(H); bad = []
os.mkdir(b.path("up")); open(b.path("up", "f"), "wb").write(os.urandom(60 << 20))
os.mkdir(b.path("down"))
for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    for args in (["up", "store:x"], ["store:x", "down"]):
        H.objects = {"x/big": b"", "x/a-extra": b"x"} ; H.uploads.clear(); H.reached.clear()
        open(b.path("down", "extra"), "w").write("x")
        p = subprocess.Popen([BIN, "-c", b.conf, "sync", "--delete", *args], cwd=b.work, env={**os.environ, "HOME": b.dir}, stderr=subprocess.DEVNULL)
        H.reached.wait(60); time.sleep(0.2); p.send_signal(sig); rc = p.wait(30); time.sleep(0.3)
        left = sorted(os.listdir(b.path("down"))); kept = "x/a-extra" in H.objects and "extra" in left
        hidden = [f for f in left if f.startswith(".")]
        print(sig.name, *args, "-> exit", rc, "| uploads left:", len(H.uploads), "| files:", left, "| kept:", kept)
        if rc != 128 + sig or H.uploads or hidden or not kept: bad.append(f"{sig.name} {args}")
verdict(not bad, f"left behind or deleted something: {bad}")
