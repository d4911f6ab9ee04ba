"""A scripted HTTP/1.1 server for the cases that need control of the raw response and of single connections."""
import os, sys, socket, threading, subprocess, tempfile, time, json, shutil, signal, datetime, hashlib, email.utils
from urllib.parse import urlsplit, unquote, parse_qsl
BIN = os.path.abspath(os.environ.get("SANDBUCKET", "target/release/sandbucket"))

class Req:
    def __init__(s, method, target, version, headers, body, conn_id, nth):
        s.method, s.target, s.version, s.headers, s.body = method, target, version, headers, body
        s.conn_id, s.nth = conn_id, nth
        u = urlsplit(target if target.startswith("/") else target)
        s.path, s.query = u.path, dict(parse_qsl(u.query, keep_blank_values=True))
        s.rawquery = u.query
    def h(s, name):
        for k, v in s.headers:
            if k.lower() == name: return v
    def __repr__(s): return f"{s.method} {s.target} [conn {s.conn_id} #{s.nth}]"

class Raw(bytes): pass
class Close(Exception): pass          # closes the connection without a response
class Hang(Exception): pass           # sends no response on this connection any more

def resp(status=200, headers=None, body=b"", date=True, length=True, reason="X"):
    if isinstance(body, str): body = body.encode()
    out = [f"HTTP/1.1 {status} {reason}"]
    hs = dict(headers or {})
    names = {k.lower() for k in hs}
    if date and "date" not in names: hs["Date"] = email.utils.formatdate(usegmt=True)
    if length and "content-length" not in names and status not in (204, 304): hs["Content-Length"] = str(len(body))
    for k, v in hs.items(): out.append(f"{k}: {v}")
    return Raw(("\r\n".join(out) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body)

def err(status, code, message="m", headers=None, head=False):
    b = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>R1</RequestId></Error>'
    h = {"Content-Type": "application/xml"}; h.update(headers or {})
    return resp(status, h, b"" if head else b, length=not head)

class Server:
    """A scripted HTTP/1.1 server: handler(req) gives raw bytes."""
    def __init__(self, handler, host="127.0.0.1", family=socket.AF_INET, early=None):
        self.handler, self.early, self.log, self.conns, self.lock = handler, early, [], 0, threading.Lock()
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, 0)); self.sock.listen(128)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
    def accept(self):
        while True:
            try: c, _ = self.sock.accept()
            except OSError: return
            with self.lock: self.conns += 1; n = self.conns
            threading.Thread(target=self.serve, args=(c, n), daemon=True).start()
    def serve(self, c, conn_id):
        buf, nth = b"", 0
        try:
            while True:
                while b"\r\n\r\n" not in buf:
                    d = c.recv(65536)
                    if not d: return
                    buf += d
                head, buf = buf.split(b"\r\n\r\n", 1)
                lines = head.decode("latin-1").split("\r\n")
                method, target, version = lines[0].split(" ", 2)
                headers = [tuple(x.strip() if i else x for i, x in enumerate(l.split(":", 1))) for l in lines[1:]]
                hd = {k.lower(): v for k, v in headers}
                nth += 1
                req = Req(method, target, version, headers, b"", conn_id, nth)
                if self.early:
                    e = self.early(req, c)
                    if e: 
                        with self.lock: self.log.append(req)
                        return
                n = int(hd.get("content-length", "0"))
                while len(buf) < n:
                    d = c.recv(1 << 20)
                    if not d: return
                    buf += d
                req.body, buf = buf[:n], buf[n:]
                with self.lock: self.log.append(req)
                try: out = self.handler(req)
                except Close: return
                except Hang:
                    while c.recv(65536): pass
                    return
                parts = [out] if isinstance(out, bytes) else out
                for p in parts:
                    if p is None: c.shutdown(socket.SHUT_RDWR); return
                    if isinstance(p, (int, float)): time.sleep(p)
                    else: c.sendall(p)
                if b"connection: close" in (parts[0][:4000].lower() if isinstance(parts[0], bytes) else b""): return
        except OSError: pass
        except Exception as e: print("server fault:", repr(e), file=sys.stderr)
        finally: c.close()

WORK = tempfile.mkdtemp(prefix="sb-case-")
def conf(endpoint, keys=True, **more):
    d = {"bucket": "demo", "endpoint": endpoint, "region": "us-east-1", "timeout": "5s"}
    if keys: d.update({"access-key": "AKIDEXAMPLE", "secret-key": "SECRETEXAMPLE"})
    d.update({k.replace("_", "-"): v for k, v in more.items()})
    p = os.path.join(WORK, f"c{time.time_ns()}.toml")
    with open(p, "w") as f:
        f.write("[store.blob.s3]\n")
        for k, v in d.items():
            if v is not None: f.write(f"{k} = {json.dumps(v)}\n")
    return p
ENV = {k: v for k, v in os.environ.items() if not k.upper().startswith("AWS_") and "PROXY" not in k.upper()}
ENV["HOME"] = WORK
class R:
    def __init__(s, rc, out, errt, secs): s.rc, s.out, s.err, s.secs = rc, out, errt, secs
    def __repr__(s): return f"rc={s.rc} {s.secs:.1f}s out={s.out[:300]!r} err={s.err.decode('utf8','replace')[:700]!r}"
def sb(config, *args, stdin=b"", env=None, limit=120, cwd=None):
    e = dict(ENV); e.update(env or {})
    t = time.time()
    try:
        p = subprocess.run([BIN, "--config", config, *args], input=stdin, capture_output=True, env=e, timeout=limit, cwd=cwd or WORK)
        return R(p.returncode, p.stdout, p.stderr, time.time() - t)
    except subprocess.TimeoutExpired as x:
        return R(-99, x.stdout or b"", (x.stderr or b"") + b" [killed: took too long]", time.time() - t)
fails = []
def check(ok, what, detail=""):
    print(("ok    " if ok else "WRONG ") + what + (f"   {detail}" if detail != "" else ""))
    if not ok: fails.append(what)
def done():
    shutil.rmtree(WORK, ignore_errors=True)
    sys.stdout.flush()
    os._exit(1 if fails else 0)
