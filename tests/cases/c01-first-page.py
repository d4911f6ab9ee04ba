#!/usr/bin/env python3
"""Recursive commands that list everything before they begin take long to start, and run out of memory. cp -r, sync and rm -r begin with
the first page of the listing, ask for the next one when that is used up, and take no more memory for 60,000 keys than for 2,000."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    count, pages, done = 0, [], 0
    def listing(self):
        first = int(self.q.get("continuation-token") or 0); H.pages.append((first, H.done))
        last = min(first + 1000, H.count); more = last < H.count
        rows = "".join(self.contents(f"k{n:08}", b"x") for n in range(first, last))
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        self.send(200, f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>")
    def on_GET(self):
        if not self.key: return self.listing()
        with self.lock: H.done += 1
        self.send(200, b"x", [("ETag", self.etag(b"x")), ("Last-Modified", LM)])
    def on_POST(self):
        n = self.body.count(b"<Key>")
        with self.lock: H.done += n
        self.send(200, "<DeleteResult>" + "".join(f"<Deleted><Key>{k}</Key></Deleted>" for k in re.findall(r"<Key>(.*?)</Key>", self.body.decode())) + "</DeleteResult>")
b = Box(H); bad = []
JOBS = 8
def memory(*args):
    p = subprocess.Popen([BIN, "-c", b.conf, *args], cwd=b.work, env={**os.environ, "HOME": b.dir}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = p.stderr.read().decode(errors="replace"); _, status, usage = os.wait4(p.pid, 0)
    if status: print(err[-600:])
    return status, usage.ru_maxrss / 1024
memory("ls", "-r")                                           # compiles the plugin, which takes more memory than anything else
def check(what, count, *args, used_up=True):
    H.count, H.pages, H.done = count, [], 0
    status, mib = memory(*args)
    # What is listed and not yet begun is at most one page, and one transfer for each job.
    early = all(done >= first - JOBS for first, done in H.pages) if used_up else True
    print(f"   {what}: status {status}, {len(H.pages)} pages, {H.done} done, pages in time: {early}, {mib:.0f} MiB")
    if status or not early or len(H.pages) != (count + 999) // 1000: bad.append(what)
    return mib
check("cp -r of 2,500", 2500, "cp", "-r", "-q", "-j", str(JOBS), "store:", "all")
check("sync of 2,500", 2500, "sync", "-q", "-j", str(JOBS), "store:", "synced")
for name, args in (("rm -r", ["rm", "-r", "--yes", "--prefix", ""]), ("sync --dry-run", ["sync", "--dry-run", "--delete", "store:", "none"]), ("cp -r --dry-run", ["cp", "-r", "--dry-run", "store:", "none"]), ("sync with nothing left", ["sync", "--exclude", "*", "store:", "none"])):
    small, large = (check(f"{name} of {n}", n, *args, used_up=name == "rm -r") for n in (2000, 60000))
    if large > small + 40: bad.append(f"{name}: {small:.0f} MiB for 2,000 keys, {large:.0f} MiB for 60,000")
verdict(not bad, f"{bad}")
