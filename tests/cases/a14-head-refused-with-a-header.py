#!/usr/bin/env python3
"""snowflakedb/drivers#1131, aws-sdk-cpp#458: S3 copies the error code of a failed HEAD to x-amz-error-code and x-amz-error-message. `head`
reports an expired token just as `get` does."""
from _server import *

def h(q):
    if q.method == "HEAD": return resp(400, {"x-amz-error-code": "ExpiredToken", "x-amz-error-message": "The provided token has expired."}, length=False)
    return err(400, "ExpiredToken", "The provided token has expired.")
s = Server(h); c = conf(f"http://127.0.0.1:{s.port}")
g = sb(c, "--json", "get", "k"); r = sb(c, "--json", "head", "k")
check(b"ExpiredToken" in g.err + g.out, "get tells ExpiredToken", g)
check(b"ExpiredToken" in r.err + r.out, "head tells ExpiredToken", r)
check(g.rc == r.rc, "with the same exit code", (g.rc, r.rc))
done()
