#!/usr/bin/env python3
"""awslabs/aws-sdk-rust#169, Eventual-Inc/Daft#6638, apache/opendal#729: HTTPS_PROXY and HTTP_PROXY, which aws-cli, rclone, s5cmd, mc, curl and
object_store follow. Only the proxy resolves the name."""
import sys, os, socket, threading; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    def parse(self):
        if self.path.startswith("http://"): self.path = "/" + self.path.split("/", 3)[3]
        super().parse()
b = Box(H, endpoint="http://s3.only-behind-the-proxy.internal", extra='max-retries = 0\ntimeout = "3s"'); H.objects = {"k": b"v"}
p = f"http://127.0.0.1:{b.port}"
r = b.run("get", "k", env={"HTTP_PROXY": p, "http_proxy": p, "HTTPS_PROXY": p, "ALL_PROXY": p})
verdict(r.returncode == 0 and r.out == b"v", f"exit {r.returncode}; requests at the proxy: {len(H.seen)}")
