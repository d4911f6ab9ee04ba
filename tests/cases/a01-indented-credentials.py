#!/usr/bin/env python3
"""smithy-lang/smithy-rs#1488, aws/aws-sdk-java-v2#2994, aws/aws-sdk-ruby#3058: keys that are indented below [profile] work in
the AWS CLI and boto3, and work here. They are never dropped silently."""
from _server import *

seen = []
def h(q):
    seen.append(q.h("authorization") or "(anonymous)")
    if not q.h("authorization"): return err(403, "AccessDenied")
    return resp(200, {"ETag": '"e"', "Last-Modified": "Tue, 05 Nov 2024 10:00:00 GMT"}, b"hello")
s = Server(h); ep = f"http://127.0.0.1:{s.port}"
os.makedirs(WORK + "/.aws")
open(WORK + "/.aws/credentials", "w").write("[default]\n    aws_access_key_id = AKINDENTED\n    aws_secret_access_key = sss\n\n[work]\n\taws_access_key_id=AKTAB\n\taws_secret_access_key=sss\n")
r = sb(conf(ep, keys=False), "get", "k"); check(r.rc == 0 and any("AKINDENTED" in a for a in seen), "indented [default] in ~/.aws/credentials is used", r)
seen.clear(); r = sb(conf(ep, keys=False, profile="work"), "get", "k"); check(r.rc == 0 and any("AKTAB" in a for a in seen), "indented [work] in ~/.aws/credentials is used", r)
open(WORK + "/.aws/credentials", "wb").write(b"\xef\xbb\xbf[default]\r\naws_access_key_id = AKBOM\r\naws_secret_access_key = sss\r\n")
seen.clear(); r = sb(conf(ep, keys=False), "get", "k"); check((r.rc == 0 and any("AKBOM" in a for a in seen)) or b"credentials" in r.err.replace(b"do the credentials allow", b""), "a byte order mark (Windows Notepad) before [default]: used, or the file is told to be wrong (as boto3 does), but not passed over in silence", r)
seen.clear(); check(b"without credentials" in r.err or r.rc == 0, "an anonymous request that is refused says that it was anonymous, and not 'check the keys'", r)
done()
