#!/usr/bin/env python3
"""AutoMQ/automq#1028 (Baidu BOS answers DeleteObjects without <Deleted>: without an <Error>, all are deleted), supabase/storage#1415 (quiet),
apache/opendal#2941 (404 to DELETE of a missing key), supabase#898 (GCS: 400 NotImplemented), MissingContentMD5 of several services, keys
with & < > quotes, control characters and spaces at an end."""
from _server import *

import base64, re, html
st = {"m": ""}; gone = []
def h(q):
    m = st["m"]
    if q.method == "DELETE": gone.append(unquote(q.path)[6:]); return err(404, "NoSuchKey") if m == "404" else resp(204)
    if q.method == "POST" and "delete" in q.query:
        md5 = q.h("content-md5"); sums = [k for k, _ in q.headers if k.lower().startswith("x-amz-checksum-")]
        if not md5 or base64.b64encode(hashlib.md5(q.body).digest()).decode() != md5:
            if m == "md5": return err(400, "MissingContentMD5")
        keys = [html.unescape(k) for k in re.findall(r"<Key>(.*?)</Key>", q.body.decode(), re.S)]
        gone.extend(keys)
        if m == "gcs": gone.clear(); return err(400, "NotImplemented", "POST ?delete is not implemented for objects.")
        if m in ("bare",): return resp(200, {"Content-Type": "application/xml"}, '<?xml version="1.0"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>')
        if m == "204": return resp(204)
        if m == "empty": return resp(200, {}, "")
        d = "".join(f"<Deleted><Key>{html.escape(k)}</Key></Deleted>" for k in keys)
        if m == "one": d = "".join((f"<Error><Key>{html.escape(k)}</Key><Code>InternalError</Code><Message>try again</Message></Error>" if i == 1 and st["n"] == 0 else f"<Deleted><Key>{html.escape(k)}</Key></Deleted>") for i, k in enumerate(keys)); st["n"] += 1
        return resp(200, {"Content-Type": "application/xml"}, f"<DeleteResult>{d}</DeleteResult>")
    return err(404, "NoSuchKey", head=q.method == "HEAD")
s = Server(h); c = conf(f"http://127.0.0.1:{s.port}", max_retries=2)
def go(m, *keys): st.update(m=m, n=0); gone.clear(); s.log.clear(); return sb(c, "rm", "--", *keys)
odd = ["a&b<c>.txt", 'q"uo\'te', " lead", "trail ", "line\nfeed", "cr\rx", "ctl\x01x", "]]>", "ü日本", "%41", "+"]
r = go("ok", *odd); check(r.rc == 0 and sorted(gone) == sorted(odd), "odd keys", (sorted(set(odd) - set(gone)), r))
r = go("md5", "a", "b"); check(r.rc == 0, "a service that wants Content-MD5", r)
r = go("gcs", "a", "b", "c"); check(r.rc == 0 and sorted(gone) == ["a", "b", "c"], "GCS: singly", (gone, r))
r = go("404", "a"); check(r.rc == 0, "404 for one that is not there", r)
r = go("one", "a", "b", "c"); check(r.rc == 0 or b"InternalError" in r.err, "InternalError for one of three: tried again or told", (len(s.log), r))
r = go("bare", "a", "b"); check(r.rc == 0, "<DeleteResult/> without words (BOS)", (len(s.log), r))
r = go("204", "a", "b"); check(r.rc == 0, "204 without a body", (len(s.log), [q.method for q in s.log], r))
done()
