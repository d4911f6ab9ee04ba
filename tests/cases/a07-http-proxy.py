#!/usr/bin/env python3
"""awslabs/aws-sdk-rust#169, durch/rust-s3#398, apache/opendal#6871, oven-sh/bun#32046: requests go through the proxy that HTTPS_PROXY or
HTTP_PROXY names, as with boto3, object_store, opendal and curl."""
from _server import *

got = []
def h(q):
    got.append(q.target)
    if q.method == "CONNECT": return resp(502, {}, b"no")
    return resp(200, {"ETag": '"e"', "Last-Modified": "Tue, 05 Nov 2024 10:00:00 GMT"}, b"via proxy")
s = Server(h); p = f"http://127.0.0.1:{s.port}"
env = {"HTTP_PROXY": p, "http_proxy": p, "HTTPS_PROXY": p, "https_proxy": p, "ALL_PROXY": p}
r = sb(conf("http://s3.corp.internal", max_retries=0), "get", "k", env=env)
check(any(t.startswith("http://s3.corp.internal/") for t in got), "plain http goes through HTTP_PROXY", r)
got.clear(); r = sb(conf("https://s3.eu-central-1.example.com", max_retries=0), "get", "k", env=env)
check(any("s3.eu-central-1.example.com:443" in t for t in got), "https goes through HTTPS_PROXY by CONNECT", r)
check(b"proxy" in r.err.lower(), "or else the error says that proxies are not used", "")
done()
