"""An S3 service in memory for the cases. Subclass `S3`, override what the case is about, and run the command with
`Box`. Signatures are not checked, and addressing is path-style only."""
import hashlib, http.server, os, re, shutil, subprocess, sys, tempfile, threading, time, urllib.parse
BIN = os.path.abspath(os.environ.get("SANDBUCKET", "target/release/sandbucket"))
LM = "Sun, 06 Nov 2022 08:49:37 GMT"

class S3(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects, uploads, seen, tags = {}, {}, [], {}
    lock = threading.Lock()
    def log_message(self, *a): pass
    def parse(self):
        u = urllib.parse.urlsplit(self.path)
        self.q = dict(urllib.parse.parse_qsl(u.query, keep_blank_values=True))
        parts = urllib.parse.unquote(u.path).split("/", 2)
        self.bucket, self.key = parts[1], (parts[2] if len(parts) > 2 else "")
        n = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(n) if n else b""
        with self.lock: self.seen.append((self.command, self.path, dict(self.headers.items()), len(self.body)))
    def send(self, status=200, body=b"", headers=(), length=True):
        if isinstance(body, str): body = body.encode()
        self.send_response(status)
        names = {k.lower() for k, _ in headers}
        for k, v in headers: self.send_header(k, v)
        if length and "content-length" not in names and status not in (204, 304): self.send_header("Content-Length", str(len(body)))
        if "x-amz-request-id" not in names: self.send_header("x-amz-request-id", "FAKE")
        self.end_headers()
        if self.command != "HEAD" and body: self.wfile.write(body)
    def err(self, status, code, message="from the scripted service"):
        self.send(status, f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>", [("Content-Type", "application/xml")])
    def etag(self, data): return self.tags.get(id(data)) or '"' + hashlib.md5(data).hexdigest() + '"'
    def handle_any(self):
        self.parse()
        getattr(self, "on_" + self.command)()
    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = lambda self: self.handle_any()
    def found(self):
        if self.key in self.objects: return self.objects[self.key]
        self.err(404, "NoSuchKey"); return None
    def on_HEAD(self):
        d = self.found()
        if d is not None: self.send(200, b"", [("ETag", self.etag(d)), ("Last-Modified", LM), ("Content-Length", str(len(d)))])
    def on_GET(self):
        if not self.key: return self.listing()
        d = self.found()
        if d is None: return
        m, r = self.headers.get("if-match"), self.headers.get("range")
        if m and m != self.etag(d): return self.err(412, "PreconditionFailed")
        if r:
            a, b = re.match(r"bytes=(\d*)-(\d*)", r).groups()
            if a == "": a, b = max(0, len(d) - int(b)), len(d) - 1
            else: a, b = int(a), min(int(b or len(d) - 1), len(d) - 1)
            if a >= len(d): return self.err(416, "InvalidRange")
            return self.send(206, d[a:b + 1], [("ETag", self.etag(d)), ("Last-Modified", LM), ("Content-Range", f"bytes {a}-{b}/{len(d)}")])
        self.send(200, d, [("ETag", self.etag(d)), ("Last-Modified", LM)])
    def contents(self, key, data):
        return f"<Contents><Key>{esc(key)}</Key><LastModified>2022-11-06T08:49:37.000Z</LastModified><ETag>{esc(self.etag(data))}</ETag><Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    def listing(self):
        prefix = self.q.get("prefix", ""); delimiter = self.q.get("delimiter", "")
        keys = sorted(k for k in self.objects if k.startswith(prefix)); out = []; commons = []
        for k in keys:
            rest = k[len(prefix):]
            if delimiter and delimiter in rest:
                c = prefix + rest.split(delimiter)[0] + delimiter
                if c not in commons: commons.append(c)
            else: out.append(self.contents(k, self.objects[k]))
        cp = "".join(f"<CommonPrefixes><Prefix>{esc(c)}</Prefix></CommonPrefixes>" for c in commons)
        self.send(200, f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bkt</Name><Prefix>{esc(prefix)}</Prefix><KeyCount>{len(out)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{"".join(out)}{cp}</ListBucketResult>', [("Content-Type", "application/xml")])
    def on_PUT(self):
        src = self.headers.get("x-amz-copy-source")
        if src:
            s = urllib.parse.unquote(src).lstrip("/").split("/", 1)[1]
            if s not in self.objects: return self.err(404, "NoSuchKey")
            self.objects[self.key] = self.objects[s]
            return self.send(200, f"<CopyObjectResult><ETag>{esc(self.etag(self.objects[s]))}</ETag><LastModified>2022-11-06T08:49:37Z</LastModified></CopyObjectResult>")
        if "uploadId" in self.q:
            with self.lock: self.uploads[self.q["uploadId"]][int(self.q["partNumber"])] = self.body
            return self.send(200, b"", [("ETag", self.etag(self.body))])
        self.objects[self.key] = self.body
        self.send(200, b"", [("ETag", self.etag(self.body))])
    def on_POST(self):
        if "uploads" in self.q:
            with self.lock:
                uid = f"u{len(self.uploads) + 1}"; self.uploads[uid] = {}
            return self.send(200, f"<InitiateMultipartUploadResult><Bucket>bkt</Bucket><Key>{esc(self.key)}</Key><UploadId>{uid}</UploadId></InitiateMultipartUploadResult>")
        if "uploadId" in self.q: return self.complete()
        if "delete" in self.q:
            out = ""
            for k in re.findall(r"<Key>(.*?)</Key>", self.body.decode(), re.S):
                k = k.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
                self.objects.pop(k, None); out += f"<Deleted><Key>{esc(k)}</Key></Deleted>"
            return self.send(200, f"<DeleteResult>{out}</DeleteResult>")
        self.err(501, "NotImplemented")
    def complete(self):
        parts = self.uploads.pop(self.q["uploadId"], None)
        if parts is None: return self.err(404, "NoSuchUpload")
        data = b"".join(parts[n] for n in sorted(parts)); self.objects[self.key] = data
        tag = '"%s-%d"' % (hashlib.md5(b"".join(hashlib.md5(parts[n]).digest() for n in sorted(parts))).hexdigest(), len(parts)); self.tags[id(data)] = tag
        self.send(200, f"<CompleteMultipartUploadResult><Bucket>bkt</Bucket><Key>{esc(self.key)}</Key><ETag>{esc(tag)}</ETag></CompleteMultipartUploadResult>")
    def on_DELETE(self):
        if "uploadId" in self.q: self.uploads.pop(self.q["uploadId"], None)
        else: self.objects.pop(self.key, None)
        self.send(204)

def esc(t): return t.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    def handle_error(self, *a): pass

class Box:
    def __init__(self, handler, extra="", endpoint=None, creds=True, tls=None):
        handler.objects, handler.uploads, handler.seen, handler.tags = {}, {}, [], {}
        self.h = handler; self.server = Server(("127.0.0.1", 0), handler)
        if tls: self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.dir = tempfile.mkdtemp(prefix="bh2-"); self.conf = os.path.join(self.dir, "sandbucket.toml")
        endpoint = (endpoint or "http://127.0.0.1:{port}").format(port=self.port)
        keys = 'access-key = "AK"\nsecret-key = "SK"\n' if creds else ""
        open(self.conf, "w").write(f'[store.blob.s3]\nbucket = "bkt"\nendpoint = "{endpoint}"\n{keys}{extra}\n')
        self.work = os.path.join(self.dir, "w"); os.mkdir(self.work)
    def run(self, *args, input=None, timeout=120, env=None, cwd=None, **kw):
        e = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}; e["HOME"] = self.dir; e.update(env or {})
        r = subprocess.run([BIN, "-c", self.conf, *args], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, env=e, cwd=cwd or self.work, **kw)
        r.err = r.stderr.decode(errors="replace"); r.out = r.stdout
        print("$ sandbucket", *args, "-> exit", r.returncode); 
        if r.err.strip(): print("   " + r.err.strip()[:700].replace("\n", "\n   "))
        return r
    def path(self, *p): return os.path.join(self.work, *p)
    def close(self):
        self.server.shutdown(); shutil.rmtree(self.dir, ignore_errors=True)

def verdict(ok, why):
    print(("RIGHT: " if ok else "WRONG: ") + why); sys.exit(0 if ok else 1)
