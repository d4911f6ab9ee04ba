#!/usr/bin/env python3
"""A mirror must not delete the copy of what it did not see, because a listing failed, was cut off or was denied. After an error in
either listing `sync --delete` deletes nothing, and fails."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    how = ""
    def listing(self):
        prefix = self.q.get("prefix", ""); keys = sorted(k for k in self.objects if k.startswith(prefix))
        token = self.q.get("continuation-token")
        if token and H.how == "denied": return self.err(403, "AccessDenied")
        if token and H.how == "html": return self.send(200, "<html><body>login</body></html>")
        if token and H.how == "cut": return self.send(200, "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Ke")
        if token and H.how == "foreign": keys = ["elsewhere/x"]
        elif token and H.how == "order": keys = keys[:1]
        elif H.how: keys = keys[int(len(keys) / 2):] if token else keys[:int(len(keys) / 2)]
        more = not token and H.how
        self.send(200, f"<ListBucketResult><IsTruncated>{'true' if more else 'false'}</IsTruncated>{'<NextContinuationToken>t</NextContinuationToken>' if more else ''}{''.join(self.contents(k, self.objects.get(k, b'x')) for k in keys)}</ListBucketResult>")
b = Box(H, extra="max-retries = 0"); bad = []
os.mkdir(b.path("here")); names = [f"f{n}" for n in range(6)]
for how in ("denied", "html", "cut", "foreign", "order", ""):
    H.how = how
    for to in ("here", "store:x"):
        H.objects = {f"x/{n}": b"x" for n in names}
        for n in os.listdir(b.path("here")): os.unlink(b.path("here", n))
        for n in ["extra"] + (names[:2] if to == "store:x" else []): open(b.path("here", n), "w").write("x")
        r = b.run("sync", "--delete", *(["store:x", "here"] if to == "here" else ["here", "store:x"]))
        left = set(os.listdir(b.path("here"))) if to == "here" else {k[2:] for k in H.objects}
        kept = "extra" in left if to == "here" else set(names) <= left
        if how and (not kept or r.returncode == 0): bad.append(f"{how} {to}: exit {r.returncode}, left {sorted(left)}")
        if not how and (kept or r.returncode): bad.append(f"nothing was deleted where all is well: {to}, exit {r.returncode}")
        if len([n for n in left if n.startswith(".")]): bad.append(f"temporary files: {left}")
verdict(not bad, f"{bad}")
