"""Writes shared_key.json and sas.json: what azure-storage-blob signs, as test vectors.

Run in an environment with azure-storage-blob, when requests or the version change:

    python vectors.py
"""

import json
import random
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl, quote, urlsplit

import azure.storage.blob as blob
from azure.core.pipeline.transport import HttpRequest
from azure.storage.blob._shared import authentication
from azure.storage.blob._shared_access_signature import BlobSharedAccessSignature

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2023-11-03"
HERE = Path(__file__).parent


def shared_key(method, url, headers, length):
    """The text that the library signs for this request, and its signature."""
    signed = []
    sign_string = authentication.sign_string
    authentication.sign_string = lambda key, text: signed.append(text) or sign_string(key, text)
    request = HttpRequest(method, url, headers=dict(headers))
    if length is not None:
        request.headers["Content-Length"] = str(length)
    # The library takes the value of Range from a name that no header has; the service takes `Range`.
    if "range" in request.headers:
        request.headers["byte_range"] = request.headers.pop("range")
    context = SimpleNamespace(transport=None)
    authentication.SharedKeyCredentialPolicy(ACCOUNT, KEY).on_request(SimpleNamespace(http_request=request, context=context))
    authentication.sign_string = sign_string
    parts = urlsplit(url)
    return {
        "method": method,
        "path": parts.path,
        "query": parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)),
        "headers": list(headers),
        "length": length or 0,
        "signed": signed[0],
        "authorization": request.headers["Authorization"],
    }


def requests():
    base = f"http://127.0.0.1:10000/{ACCOUNT}"
    date = [("x-ms-version", VERSION), ("x-ms-date", "Tue, 14 Nov 2023 22:13:20 GMT")]
    yield "GET", f"{base}/demo/k", date, None
    yield "HEAD", f"{base}/demo/a%20b/%C3%A9%2B", [("if-match", '"0x8D"'), *date], None
    yield "GET", f"{base}/demo/k", [("range", "bytes=2-4"), ("if-none-match", '"e"'),
                                    ("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT"), *date], None
    yield "PUT", f"{base}/demo/k", [("x-ms-blob-type", "BlockBlob"), ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
                                    ("if-none-match", "*"), ("x-ms-meta-a_b", "1"), ("x-ms-meta-a1", "2"),
                                    ("x-ms-meta-ab", "3"), ("x-ms-access-tier", "Cool"), *date], 5
    yield "PUT", f"{base}/demo/k", [("x-ms-blob-type", "BlockBlob"), *date], 0
    yield "PUT", f"{base}/demo/k?comp=blocklist", [("content-type", "application/xml"), *date], 123
    yield "PUT", f"{base}/demo/k?comp=block&blockid=c2Ix%2B%2F%3D", [*date], 4194304
    query = "restype=container&comp=list&maxresults=7&prefix=" + quote("t/a b+%é") + "&marker=2%2181%21MDAw"
    yield "GET", f"{base}/demo?{query}", date, None
    yield "GET", f"{base}/?comp=list", date, None
    yield "DELETE", f"{base}/demo/k?versionid=2023-11-14T22%3A13%3A20.1234567Z", [("x-ms-delete-snapshots", "only"), *date], None
    rng = random.Random(7)
    fields = ["x-ms-blob-type", "x-ms-blob-content-type", "x-ms-blob-cache-control", "x-ms-blob-content-disposition",
              "x-ms-blob-content-encoding", "x-ms-blob-content-language", "x-ms-access-tier", "x-ms-tags",
              "x-ms-encryption-scope", "x-ms-lease-id", "x-ms-delete-snapshots", "x-ms-copy-source",
              "x-ms-copy-source-blob-properties", "x-ms-source-if-match", "x-ms-source-if-none-match",
              "x-ms-source-if-modified-since", "x-ms-source-if-unmodified-since", "x-ms-source-range"]
    for _ in range(40):
        names = rng.sample(fields, rng.randint(2, len(fields)))
        for _ in range(rng.randint(0, 8)):
            name = rng.choice("abyz_") + "".join(rng.choice("ab_19z") for _ in range(rng.randint(0, 4)))
            names.append(f"x-ms-meta-{name}")
        headers = [(name, f"v{n}") for n, name in enumerate(dict.fromkeys(names))]
        yield "PUT", f"{base}/demo/k", [*headers, *date], rng.randint(0, 3)


def sas():
    cases = [
        {"permission": "r"},
        {"permission": "cw", "protocol": "https"},
        {"permission": "d", "blob_name": "a b/é+%"},
        {"permission": "r", "content_type": "text/plain", "cache_control": "no-store", "content_disposition": "a; b=c",
         "content_encoding": "gzip", "content_language": "de"},
        {"permission": "x", "version_id": "2023-11-14T22:13:20.1234567Z"},
    ]
    for case in cases:
        text = []
        name = case.pop("blob_name", "k")
        maker = BlobSharedAccessSignature(ACCOUNT, KEY)
        maker.x_ms_version = VERSION
        token = maker.generate_blob("demo", name, expiry=datetime(2023, 11, 14, 22, 14, 20, tzinfo=timezone.utc),
                                    sts_hook=text.append, **case)
        query = dict(parse_qsl(token))
        # Of a version the library adds a parameter that its own documentation tells to leave out.
        query.pop("snapshot", None)
        yield {"key": name, "version": case.pop("version_id", None), "given": case, "signed": text[0], "query": query}


def write(name, vectors):
    text = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in vectors)
    (HERE / name).write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    print("azure-storage-blob", blob.__version__)
    write("shared_key.json", [shared_key(*request) for request in requests()])
    write("sas.json", list(sas()))
