#!/usr/bin/env python3
"""aws/aws-cli#6120, #1184, epam/cloud-pipeline#4265: a pipe longer than 10,000 parts of the default size. Scaled down: with max-put = 16 KiB
the first parts are that small, and 10,000 of them are 156 MiB. Parts grow in time, or the limit is stated; `--part-size` and
`--expected-size` say the size beforehand (aws: --expected-size; rclone: --s3-chunk-size)."""
import sys, os; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from _fake import *
class H(S3):
    n = 0
    def on_PUT(self):
        with self.lock: H.n += 1
        self.send(200, b"", [("ETag", f'"{H.n}"')])
    def complete(self): self.send(200, '<CompleteMultipartUploadResult><ETag>"x-1"</ETag></CompleteMultipartUploadResult>')
b = Box(H, extra='[sandbox]\nmax-put = "16KiB"')
p = subprocess.Popen(["head", "-c", str(10_001 * 16 * 1024), "/dev/zero"], stdout=subprocess.PIPE)
r = subprocess.run([BIN, "-c", b.conf, "put", "k", "-"], stdin=p.stdout, stderr=subprocess.PIPE, env={**os.environ, "HOME": b.dir})
print(r.stderr.decode()[:600]); h = subprocess.run([BIN, "put", "--help"], stdout=subprocess.PIPE).stdout.decode()
print("   options about size in put --help:", [l.strip() for l in h.splitlines() if "size" in l.lower()])
verdict(r.returncode == 0 and H.n <= 10_000, f"a pipe of 10,001 parts: exit {r.returncode} after {H.n} parts were uploaded")
