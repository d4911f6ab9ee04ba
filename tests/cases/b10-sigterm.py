#!/usr/bin/env python3
"""rclone/rclone#4300, aws/aws-cli#1428: a transfer that SIGTERM (systemd, docker stop, timeout, kill) or SIGHUP ends leaves no parts at the
service and no temporary file, as with Ctrl-C."""
import sys, os, signal, time; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    def on_PUT(self):
        if "uploadId" in self.q: time.sleep(1)
        super().on_PUT()
    def on_GET(self):
        if self.key != "big": return super().on_GET()
        self.send(200, b"", [("ETag", '"e"'), ("Last-Modified", LM), ("Content-Length", str(20 << 20))])
        try:
            for i in range(200): self.wfile.write(bytes(100 << 10)); time.sleep(0.1)
        except OSError: pass
b = Box(H); bad = []
open(b.path("f"), "wb").write(os.urandom(60 << 20)); H.objects["big"] = b""
e = {**os.environ, "HOME": b.dir}
for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    for args in (["put", "k", "f"], ["cp", "f", "store:k"], ["get", "big", "out.bin"], ["cp", "store:big", "out.bin"]):
        H.uploads.clear()
        p = subprocess.Popen([BIN, "-c", b.conf, *args], cwd=b.work, env=e, stderr=subprocess.DEVNULL); time.sleep(2); p.send_signal(sig)
        rc = p.wait(20); time.sleep(0.3)
        left = [f for f in os.listdir(b.work) if f != "f"]; n = len(H.uploads)
        print(sig.name, *args, "-> exit", rc, "| uploads left:", n, "| files left:", left)
        if n or left: bad.append(f"{sig.name} {args[0]} {args[1]}")
        for f in left: os.unlink(b.path(f))
verdict(not bad, f"left behind something: {bad}")
