#!/usr/bin/env python3
"""AutoMQ/automq#1028 (Baidu BOS and others): DeleteObjects is answered with a 200 that names no keys (as in quiet mode). The keys are deleted:
success, or checked with requests of its own, and no error."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
BODY = ""
class H(S3):
    def on_POST(self):
        if "delete" not in self.q: return super().on_POST()
        for k in re.findall(r"<Key>(.*?)</Key>", self.body.decode(), re.S): self.objects.pop(k, None)
        self.send(200, BODY)
b = Box(H); bad = []
for BODY in ("<DeleteResult/>", '<?xml version="1.0"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>', ""):
    H.objects = {f"k{i}": b"x" for i in range(4)}; H.seen.clear(); r = b.run("rm", "k0", "k1", "k2", "k3")
    print("   left:", list(H.objects), [s[0] for s in H.seen]); 
    if r.returncode: bad.append(BODY)
verdict(not bad, f"rm of what is gone fails for {bad}")
