#!/usr/bin/env python3
"""delta-io/delta-rs, pola-rs/polars, ClickHouse#49680, minio#16469 (503 SlowDown, or 503 while a service restarts): the outage lasts seconds.
object_store retries 10 times within 3 minutes, boto3 5 times with pauses of up to 1, 2, 4 and 8 s. 503 SlowDown, or a refused connection,
for 2.5 seconds, with default settings."""
from _server import *

st = {}
def h(q):
    if "t0" not in st: st["t0"] = time.time()
    if time.time() - st["t0"] < st["for"]: return err(503, "SlowDown", "Please reduce your request rate.")
    if q.method == "PUT": return resp(200, {"ETag": '"e"'})
    return resp(200, {"ETag": '"e"', "Last-Modified": "Tue, 05 Nov 2024 10:00:00 GMT"}, b"hello")
s = Server(h); c = conf(f"http://127.0.0.1:{s.port}", timeout=None)
good = 0; n = 8; took = []
for i in range(n):
    st.clear(); st["for"] = 2.5
    r = sb(c, "put", "k", stdin=b"x"); good += r.rc == 0; took.append(round(r.secs, 1))
check(good >= n * 0.8, "503 SlowDown for 2.5 s: most of 8 puts go through with the defaults", f"{good} of {n}; each gave up or was done after {took} s")
p = socket.socket(); p.bind(("127.0.0.1", 0)); port = p.getsockname()[1]; p.close()
good = 0
for i in range(4):
    def later():
        time.sleep(2.5); st["srv"] = None
        class S2(Server): pass
        sock = socket.socket(); sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); sock.bind(("127.0.0.1", port)); sock.listen(16)
        st["sock"] = sock; sock.settimeout(6)
        try:
            while True:
                x, _ = sock.accept(); x.recv(65536); x.sendall(resp(200, {"ETag": '"e"', "Connection": "close"})); x.close()
        except OSError: pass
    st.clear(); t = threading.Thread(target=later, daemon=True); t.start()
    r = sb(conf(f"http://127.0.0.1:{port}", timeout=None), "put", "k", stdin=b"x"); good += r.rc == 0; took.append(round(r.secs, 1))
    time.sleep(2.8)
    if st.get("sock"): st["sock"].close()
    t.join(8)
check(good >= 3, "nothing listens for 2.5 s (a restart): most of 4 puts go through", f"{good} of 4, {took[-4:]}")
done()
