"""A WebDAV server (WsgiDAV) on a free loopback port, over an empty folder, with Basic authentication.

Prints one line of JSON with its endpoint, and serves until standard input is closed. The first request of each method for a file
named `flaky-METHOD-…` takes effect and gets a 500 all the same; its second is served. Every request is counted: a GET of `/requests/PATH`
returns the methods of the requests for that path, separated by spaces.
"""

import json
import sys
import tempfile
import threading
from collections import defaultdict

from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp

USER, PASSWORD = "tester", "a password: that must not show"


class Front:
    """Counts requests, and fails some of them after they took effect."""

    def __init__(self, application):
        self.application = application
        self.methods = defaultdict(list)
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/requests/"):
            body = " ".join(self.methods[path.removeprefix("/requests")]).encode()
            start_response("200 OK", [("content-length", str(len(body)))])
            return [body]
        with self.lock:
            first = method not in self.methods[path]
            self.methods[path].append(method)
        if not (first and f"/flaky-{method}-" in path):
            return self.application(environ, start_response)
        # WSGI: the application sends its header when its result is read.
        for _ in self.application(environ, lambda *_: lambda _: None):
            pass
        start_response("500 Internal Server Error", [("content-length", "0")])
        return []


def main():
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "provider_mapping": {"/dav": folder},
            "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "verbose": 0,
            "logging": {"enable": False},
        }
        server = wsgi.Server(("127.0.0.1", 0), Front(WsgiDAVApp(config)))
        server.prepare()
        threading.Thread(target=server.serve, daemon=True).start()
        host, port = server.bind_addr
        started = {"endpoint": f"http://{host}:{port}", "username": USER, "password": PASSWORD}
        print(json.dumps(started), flush=True)
        sys.stdin.read()
        server.stop()


if __name__ == "__main__":
    main()
