#!/usr/bin/env python3
"""aws/aws-sdk-net#4212, aws/aws-sdk-java-v2#5475, huseyinbabal/taws#181: a profile, AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3 names the
endpoint. With no `endpoint` in sandbucket.toml, requests that these credentials sign go to that endpoint, or fail; never to Amazon."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3): pass
b = Box(H, creds=False); H.objects = {"k": b"v"}; aws = os.path.join(b.dir, ".aws"); os.mkdir(aws); bad = []
open(b.conf, "w").write('[store.blob.s3]\nbucket = "bkt"\nmax-retries = 0\ntimeout = "3s"\n')
open(aws + "/config", "w").write(f"[profile wasabi]\naws_access_key_id = AKW\naws_secret_access_key = s\nregion = us-east-1\nendpoint_url = http://127.0.0.1:{b.port}\n")
for name, env in [("profile", {"AWS_PROFILE": "wasabi"}), ("AWS_ENDPOINT_URL_S3", {"AWS_ACCESS_KEY_ID": "AKW", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{b.port}"}), ("AWS_ENDPOINT_URL", {"AWS_ACCESS_KEY_ID": "AKW", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{b.port}"})]:
    H.seen.clear(); r = b.run("head", "k", env=env)
    if not H.seen and "amazonaws" in r.err: bad.append(name)
verdict(not bad, f"tried Amazon instead of the endpoint that was named by: {bad}")
