"""A small server for single tests. The scripted ones of all languages are in tests/faulty."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Response = tuple[int, dict[str, str], bytes]


def empty(method: str, path: str) -> Response:
    return 200, {}, b""


def digits(method: str, path: str) -> Response:
    return 200, {}, b"0123456789"


class Agreeable:
    """A server that responds to every request by a function, and notes what it saw."""

    def __init__(self, respond: Callable[[str, str], Response] = empty) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.seen.append((self.command, self.path, headers, body))
                status, fields, content = respond(self.command, self.path)
                self.send_response_only(status)
                for name, value in {"content-length": str(len(content)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.authority}"


@contextmanager
def serving(server: Agreeable, certificate: Path | None = None) -> Iterator[Agreeable]:
    """Runs a server, with TLS if there is a file with a certificate and its key."""
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()
