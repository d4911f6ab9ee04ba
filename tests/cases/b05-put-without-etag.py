#!/usr/bin/env python3
"""FilenCloudDienste/filen-s3#146, cubefs/cubefs#448: a 200 to PUT without an ETag. The object is stored: one PUT, and success."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    def on_PUT(self): self.objects[self.key] = self.body; self.send(200, b"")
b = Box(H); r = b.run("put", "k", input=b"hello")
n = len([s for s in H.seen if s[0] == "PUT"])
verdict(r.returncode == 0 and n == 1, f"exit {r.returncode} after {n} PUTs; the service has the blob: {H.objects.get('k') == b'hello'}")
