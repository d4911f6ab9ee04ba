#!/usr/bin/env python3
"""aws/aws-sdk-go#3361, ministackorg/ministack#583 (ISO 8601 in Last-Modified of GET and HEAD), exoscale/pithos#54 ("UTC" for "GMT"),
minio/minio-go#604 (no date, and an empty ETag). A date that cannot be parsed does not make an object unreadable."""
from _server import *

lm = [None]
def h(q):
    hs = {"ETag": '"e"'}
    if lm[0]: hs["Last-Modified"] = lm[0]
    return resp(200, hs, b"hello") if q.method == "GET" else resp(200, {**hs, "Content-Length": "5"})
s = Server(h); c = conf(f"http://127.0.0.1:{s.port}", max_retries=0)
for form in ["Tue, 05 Nov 2024 10:00:00 GMT", None, "2024-11-05T10:00:00.123Z", "Tue, 05 Nov 2024 10:00:00 UTC", "Tue, 05 Nov 2024 10:00:00 +0000", "Tue, 5 Nov 2024 10:00:00 GMT", "Tuesday, 05-Nov-24 10:00:00 GMT"]:
    lm[0] = form
    r = sb(c, "get", "k"); check(r.rc == 0 and r.out == b"hello", f"get with Last-Modified: {form}", r)
    r = sb(c, "head", "k"); check(r.rc == 0, f"head with Last-Modified: {form}", "" if r.rc == 0 else r)
done()
