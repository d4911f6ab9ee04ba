#!/usr/bin/env python3
"""NVIDIA/aistore#201 (root <ListObjectResult>, empty <ETag>), jamhall/s3rver#181 (RFC 1123 dates in a listing), apache/opendal#3477 and
paolobarbolini/rusty-s3#163 (no ETag), near-lake#90 (another document is not an empty listing)."""
from _server import *

doc = [""]
def h(q): return resp(200, {"Content-Type": "application/xml"}, doc[0])
s = Server(h); c = conf(f"http://127.0.0.1:{s.port}", max_retries=0)
def page(root="ListBucketResult", date="2025-01-06T16:04:54Z", etag="<ETag>&quot;abc&quot;</ETag>"):
    return f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01"><Name>demo</Name><Prefix></Prefix><ContinuationToken></ContinuationToken><NextContinuationToken></NextContinuationToken><Contents><Key>logs/2024.parquet</Key><LastModified>{date}</LastModified>{etag}<StorageClass></StorageClass><Size>122301635</Size></Contents><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></{root}>'
def listed(what, d, want=True):
    doc[0] = d
    r = sb(c, "ls", "-r"); check((r.rc == 0 and b"2024.parquet" in r.out) == want, what, r)
listed("as Amazon writes it", page())
listed("without ETag (opendal#3477)", page(etag=""))
listed("root ListObjectResult and empty ETag (aistore#201)", page(root="ListObjectResult", etag="<ETag></ETag>"))
listed("LastModified as RFC 1123 (s3rver#181)", page(date="Tue, 13 Mar 2018 17:25:04 GMT"))
listed("LastModified without a zone", page(date="2025-01-06T16:04:54"))
listed("ListAllMyBucketsResult is an error and no empty list (near-lake#90)", '<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>', want=False)
r = sb(c, "ls", "-r"); check(r.rc != 0, "... with an exit code", r)
done()
