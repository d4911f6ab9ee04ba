#!/usr/bin/env python3
"""peak/s5cmd#450, piskvorky/smart_open#628, minio/minio#17419: CompleteMultipartUpload took effect, its response was lost, and the retry gets
NoSuchUpload. On Amazon S3 "for multipart uploads, the object creation date is the date of initiation of the multipart upload" (User Guide,
"Working with object metadata"), so that a Last-Modified before the completion says nothing about who wrote the object."""
import sys, os, time, email.utils; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    lost, begun, at_initiation = 0, 0, True
    def on_POST(self):
        if "uploads" in self.q: H.begun = time.time()
        super().on_POST()
    def complete(self):
        if self.q["uploadId"] in self.uploads and not H.lost:
            H.lost = 1; self.close_connection = True
            class Nowhere:                                   # does it, but the answer never comes
                def write(self, b): pass
                def flush(self): pass
            w, self.wfile = self.wfile, Nowhere(); super().complete(); H.done = time.time(); self.wfile = w; self.connection.shutdown(2); return
        super().complete()
    def on_PUT(self):
        if "uploadId" in self.q: time.sleep(4)               # parts take a while, as they do
        super().on_PUT()
    def on_HEAD(self):
        d = self.found()
        if d is None: return
        at = H.begun if H.at_initiation else H.done
        self.send(200, b"", [("ETag", self.etag(d)), ("Last-Modified", email.utils.formatdate(at, usegmt=True)), ("Content-Length", str(len(d)))])
b = Box(H); open(b.path("f"), "wb").write(os.urandom(20 << 20)); bad = []
for H.at_initiation in (False, True):
    for extra in ([], ["--if-absent"]):
        H.objects.clear(); H.lost = 0; r = b.run("put", "k", "f", *extra)
        name = f"Last-Modified of the {'initiation (Amazon S3)' if H.at_initiation else 'completion'}, {extra}"; print("   " + name, "-> exit", r.returncode, "| ours is there:", "k" in H.objects)
        if r.returncode: bad.append(f"{name}: exit {r.returncode}")
verdict(not bad, f"{bad}")
