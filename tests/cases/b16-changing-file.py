#!/usr/bin/env python3
"""rclone/rclone#717 and cloudpanel-io/cloudpanel-ce#700 (rclone: "source file is being updated"), aws/aws-sdk-java#749: a file shrinks, grows or is
rewritten while it is uploaded. What is stored is no state that the file ever had, so it is an error."""
import sys, os, time, threading; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    def on_PUT(self):
        time.sleep(1.0); super().on_PUT()
b = Box(H); bad = []
for name, change in (("truncated", lambda f: os.truncate(f, 10 << 20)), ("grown", lambda f: open(f, "ab").write(bytes(20 << 20))), ("rewritten in place", lambda f: open(f, "r+b").write(b"B" * (80 << 20)))):
    for cmd in (["put", "k", "f"], ["cp", "f", "store:k"]):
        open(b.path("f"), "wb").write(b"A" * (80 << 20)); H.objects.clear()
        t = threading.Timer(0.7, change, [b.path("f")]); t.start()
        r = b.run(*cmd); t.join(); got = H.objects.get("k")
        print(f"   {name}: exit {r.returncode}, stored {None if got is None else len(got)} of {80 << 20} bytes; A: {got and got.count(b'A')}, B: {got and got.count(b'B')}")
        if r.returncode == 0 and got != b"A" * (80 << 20) : bad.append(f"{cmd[0]} {name}")
verdict(not bad, f"success without a word for a file changed meanwhile: {bad}")
