"""Runs ceph's s3-tests (https://github.com/ceph/s3-tests) against a gateway over the dev server, and writes docs/s3-tests.md.

    python3 tests/interop/s3tests.py CHECKOUT [SANDBUCKET]
    python3 tests/interop/s3tests.py REPORT.xml             # writes the page of a former run

CHECKOUT is a folder with that repository, which is not part of this one; SANDBUCKET the command, by default
target/debug/sandbucket. Installs pytest and boto3 into a virtual environment in CHECKOUT. The gateway has no bucket until the
configuration makes it, so that it gets those that the tests will create: 3,000 virtual buckets of one store.
"""

import collections
import configparser
import re
import subprocess
import sys
import tempfile
import time
import venv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GATEWAY, BACKEND = 19000, 19100
BUCKETS = 3000
NEEDED = "boto3 munch PyYAML isodate requests pytz httplib2 lxml pytest pytest-timeout setuptools".split()

# The reason of a failure: the first whose pattern matches the error's message, or else the first whose pattern matches the name.
REASONS = [
    ("buckets are made by the configuration: creating another one, or deleting one, is denied", r"calling the (Create|Delete)Bucket operation", r"bucket_create|bucket_delete|buckets_create|list_buckets|bucket_recreate|bucket_list_long_name"),
    ("ACLs other than `private` are not supported, as on buckets whose owner owns all objects", r"AccessControlListNotSupported", r"_acl|_grant|_anon|anonymous|access_bucket"),
    ("versioning cannot be switched by clients, and the dev server keeps no versions", r"(Get|Put)BucketVersioning|VersionId|delete-marker", r"version|delete_marker"),
    ("object lock cannot be configured by clients, and the dev server has none", r"ObjectLock|LegalHold|Retention", r"object_lock"),
    ("policies, public access blocks and ownership controls are not implemented", r"BucketPolicy|PublicAccessBlock|OwnershipControls", r"polic|public|ownership"),
    ("lifecycle and restore are not implemented", r"Lifecycle|RestoreObject", r"lifecycle|expiration|transition|restore"),
    ("CORS of buckets is not implemented", r"BucketCors|calling the GetBucketCORS", r"cors"),
    ("logging of buckets is not implemented", r"BucketLogging", r"logging"),
    ("encryption of buckets is not implemented", r"BucketEncryption", r"bucket_encryption|default_upload|sse_(s3|kms)_default"),
    ("tags, notifications, websites, usage and replication of buckets, and torrents, are not implemented", r"BucketTagging|Notification|BucketWebsite|Torrent|Object-Count|Replication|Summary", r"bucket_tagging|notification|website|usage|head_extended|torrent"),
    ("signatures of version 2 are rejected in headers", r"authorization mechanism", r"aws2"),
    ("encryption: customer keys need TLS to the service, and the dev server encrypts nothing", r"customer|erver-?[Ss]ide-?[Ee]ncryption|SSE", r"sse|encrypt|_enc"),
    ("conditional deletes, and writes with `If-Match: *` or `If-None-Match` of an entity tag, are not implemented", r"(412, 'PreconditionFailed'|PreconditionFailed' == 'NotImpl)", r"if_?match|if_?none|if_?non|delete_object.*_if|conditional"),
    ("a bucket that a key does not have is `AccessDenied`, whether it exists or not", r"calling the \w+ operation: Access Denied", r"notexist|nonexist|not_owned|bucket_not_found|bucket_gone|100_continue|wrong_bucket"),
    ("the ranges of parts are not known to the gateway", r"HeadObject operation: Not Implemented", r"get_part|part_number"),
    ("checksums of reads are the service's, and this run's store keeps none", r"Checksum", r"checksum|cksum"),
    ("s3s writes the entity tag of GetObjectAttributes with quotes, S3 without", r"NoMatchOfAMessage", r"object_attributes"),
    ("s3s: forms with `${filename}` or without a signature, and codes for faulty policies of forms", r"NoMatchOfAMessage", r"post_object"),
    ("an extension of Ceph", r"rgw", r"unordered|append"),
    ("aborting an unknown upload succeeds; the dev server forgets a completed one, and has its own codes for ranges", r"NoMatchOfAMessage", r"abort_multipart|multipart"),
    ("s3s: another code for a malformed request, or a request without a length", r"NoMatchOfAMessage", r"bad_|object_create|raw_|chunked_transfer|unreadable"),
    ("the dev server: order and count of tags", r"tagging-count", r"tag"),
    ("the suite expects another name of the region, or a bucket list without the configured ones", r"NoMatchOfAMessage", r"get_location|paginated"),
    ("metadata beyond ASCII is sent as S3 sends it, encoded", r"UTF-8", r"metadata"),
]


def gateway_config(conf, folder):
    users = configparser.RawConfigParser()
    users.read(conf)
    text = f'[serve]\nlisten = "127.0.0.1:{GATEWAY}"\n'
    for name, section in [("main", "s3 main"), ("alt", "s3 alt"), ("other", "s3 tenant")]:
        access, secret = users[section]["access_key"], users[section]["secret_key"]
        text += f'[tenants.{name}.store.blob.s3]\nbucket = "sandbucket"\nendpoint = "http://127.0.0.1:{BACKEND}"\n'
        text += 'access-key = "devkey"\nsecret-key = "devsecret1"\n'
        text += f'[tenants.{name}.gateway]\nkeys = [{{ access-key = "{access}", secret-key = "{secret}", access = "read-write" }}]\n'
        if name == "main":
            text += "".join(f'buckets.s3t-{n} = {{ prefix = "b{n}/" }}\n' for n in range(1, BUCKETS + 1))
        else:
            text += f'buckets.{name}-only = {{ prefix = "{name}/" }}\n'
    path = folder / "sandbucket.toml"
    path.write_text(text)
    return path


def run(checkout, command, folder):
    environment = checkout / "venv-sandbucket"
    if not environment.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([environment / "bin/pip", "-q", "install", *NEEDED], check=True)
    conf = folder / "s3.conf"
    sample = (checkout / "s3tests.conf.SAMPLE").read_text()
    sample = sample.replace("host = localhost", "host = 127.0.0.1", 1).replace("port = 8000", f"port = {GATEWAY}", 1)
    sample = re.sub(r"bucket prefix = .*", "bucket prefix = s3t-", sample)
    conf.write_text(sample)
    # Every test has buckets of its own: there is nothing to clean up, and no bucket may be deleted.
    (folder / "sandbucket_plugin.py").write_text(
        "import s3tests.functional as functional\nfunctional.nuke_prefixed_buckets = lambda *a, **k: None\n"
    )
    backend = [command, "dev-server", "--listen", f"127.0.0.1:{BACKEND}", "--access-key", "devkey", "--secret-key", "devsecret1"]
    servers = [subprocess.Popen(backend, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        serve = [command, "-c", gateway_config(conf, folder), "serve"]
        servers.append(subprocess.Popen(serve, stderr=(folder / "serve.log").open("w")))
        time.sleep(5)
        report = folder / "report.xml"
        subprocess.run(
            [
                environment / "bin/python", "-m", "pytest", "-q", "--timeout", "60", "-p", "no:cacheprovider", "-p", "sandbucket_plugin",
                "--junitxml", report, "s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py",
            ],
            cwd=checkout,
            env={"PATH": "/usr/bin:/bin", "S3TEST_CONF": str(conf), "PYTHONPATH": f"{folder}:{checkout}"},
            stdout=(folder / "pytest.log").open("w"),
        )
        return report
    finally:
        for server in servers:
            server.terminate()
            server.wait()


def reason(name, message):
    for words, pattern, _ in REASONS:
        if re.search(pattern, message):
            return words
    for words, _, pattern in REASONS:
        if re.search(pattern, name):
            return words
    return "other"


def main():
    if sys.argv[1].endswith(".xml"):
        return write(Path(sys.argv[1]))
    checkout = Path(sys.argv[1]).resolve()
    command = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else ROOT / "target/debug/sandbucket"
    folder = Path(tempfile.mkdtemp(prefix="s3tests-"))
    write(run(checkout, command, folder))


def write(report):
    """Writes the page of a report."""
    counts, failed = collections.Counter(), collections.defaultdict(list)
    for case in ElementTree.parse(report).iter("testcase"):
        fault = case.find("failure") if case.find("failure") is not None else case.find("error")
        if case.find("skipped") is not None:
            counts["skipped"] += 1
        elif fault is None:
            counts["passed"] += 1
        else:
            counts["failed"] += 1
            # The message, not the source around it: that names what the test does not fail at.
            failed[reason(case.get("name"), fault.get("message") or "")].append(case.get("name"))
    lines = [
        "# ceph's s3-tests",
        "",
        "`tests/interop/s3tests.py` runs [ceph's s3-tests](https://github.com/ceph/s3-tests) against `sandbucket serve` over the dev server.",
        "The suite tests a whole S3 service, whose users make buckets and policies; a gateway passes on objects, and has buckets from its",
        "configuration.",
        "",
        f"Of {sum(counts.values())} tests {counts['passed']} pass, {counts['failed']} fail and {counts['skipped']} are skipped by the suite itself.",
        "",
        "| failures | reason | tests |",
        "| --- | --- | --- |",
    ]
    for words, names in sorted(failed.items(), key=lambda item: -len(item[1])):
        lines.append(f"| {len(names)} | {words} | {', '.join(name.removeprefix('test_') for name in sorted(names))} |")
    (ROOT / "docs/s3-tests.md").write_text("\n".join(lines) + "\n")
    print(report, counts, {words: len(names) for words, names in failed.items()})


if __name__ == "__main__":
    main()
