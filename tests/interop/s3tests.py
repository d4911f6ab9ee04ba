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
import socket
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

# The reasons of failures: the first whose patterns match the failure (see `evidence`) and the test's name, without `test_`.
REASONS = [
    # What the gateway does not do.
    ("ACLs other than `private` are not supported, as on buckets whose owner owns all objects", r"AccessControlListNotSupported|InvalidBucketAclWithObjectOwnership|AccessContro\.\.\.tNotSupported|check_grants|M\. Tester", r""),
    ("ACLs other than `private` are not supported, as on buckets whose owner owns all objects", r"", r"^bucket_concurrent_set_canned_acl$|^bucket_recreate_\w+_acl$"),
    ("requests without a signature are denied", r"unauthenticated_client|r\.status_code == 20", r"anon|^post_object_set_(invalid_)?success"),
    ("versioning cannot be switched by clients, and the dev server keeps no versions", r"(Put|Get)BucketVersioning|'VersionId'|x-amz-delete-marker", r""),
    ("policies, public access blocks and ownership controls are not implemented", r"BucketPolicy|PublicAccessBlock|OwnershipControls|Owners\.\.\.otFound", r""),
    ("policies, public access blocks and ownership controls are not implemented", r"501 ==", r"^bucket_policy|^put_bucket_ownership"),
    ("lifecycle and restore are not implemented", r"BucketLifecycle", r""),
    ("lifecycle and restore are not implemented", r"501 ==|NotImplemented", r"^lifecycle"),
    ("object lock cannot be configured by clients, and the dev server has none", r"ObjectLock|LegalHold|ObjectRetention", r""),
    ("object lock cannot be configured by clients, and the dev server has none", r"501 ==", r"^object_lock"),
    ("CORS of buckets is not implemented", r"501 ==", r"cors"),
    ("encryption of buckets is not implemented", r"BucketEncryption|ServerSideEn\.\.\.NotFound", r""),
    ("logging, tags and torrents of buckets are not implemented", r"PutBucketLogging|GetObjectTorrent", r""),
    ("logging, tags and torrents of buckets are not implemented", r"501 ==", r"bucket_tagging"),
    ("signatures of version 2 are rejected in headers", r"", r"_aws2$|_v2$"),
    ("signatures of version 2 are rejected in headers", r"SignatureDoesNotMatch\) when calling the CreateBucket", r""),
    ("buckets are made by the configuration: creating another one, or deleting one, is denied", r"AccessDenied\) when calling the (Create|Delete)Bucket", r""),
    ("buckets are made by the configuration: creating another one, or deleting one, is denied", r"403 ==", r"^bucket_(create|delete)_"),
    ("a bucket that a key does not have is `AccessDenied`, whether it exists or not", r"403 == 404|404 == 403", r"nonexist|notexist|not_found|gone|100_continue_error"),
    ("all buckets of this run exist from the beginning", r"ClientError not raised", r"notexist"),
    ("keys are those of the configuration: there are no accounts", r"InvalidAccessKeyId", r""),
    # What the gateway does otherwise than the suite expects, as S3 does.
    ("as at S3, `If-None-Match` of a write is `*` or `NotImplemented`", r"501|NotImpl", r"^put_object_(if_match|ifnonmatch)|^multipart_put_object_if_match"),
    ("as at S3, a delete compares entity tags only: size and time are for directory buckets", r"NotImpl", r"^delete_objects?_if_match_"),
    ("a conditional delete of an absent object is `NoSuchKey`, as at S3", r"NoSuchKey\) when calling the DeleteObject", r"^delete_object_if_match$"),
    ("a part that is not there is `InvalidPartNumber` (416), as at S3", r"416 == 400", r"get_part$"),
    ("a read of an encrypted object without its key is `InvalidRequest`, whatever the part, as at S3", r"'InvalidRequest' == 'InvalidPart'", r"_sse_c_"),
    ("a customer key that is not the object's is `AccessDenied`, as at S3", r"403 == 400", r"^encryption_sse_c"),
    ("a completion needs no customer key, as at S3", r"ClientError not raised", r"^copy_part_enc\["),
    ("`aws:kms` without a key is the account's default key, as at S3", r"ClientError not raised", r"^sse_kms_no_key$"),
    ("more tags than 10 are `BadRequest`, as at S3", r"'BadRequest' == 'InvalidTag'", r""),
    ("a range beyond the source of a part's copy is `InvalidArgument`, as at S3", r"'InvalidArgument' == 'InvalidRange'", r""),
    ("metadata beyond ASCII is sent as S3 sends it, encoded", r"=\?UTF-8\?", r""),
    ("a body needs its length, as at S3", r"MissingContentLength", r"chunked_transfer"),
    ("negative validity of a presigned URL is malformed (400), as at S3", r"400 == 403", r"authenticated_expired"),
    ("a field of a form that its policy does not name is denied, as at S3", r"403 == 204", r"^post_object_upload_checksum$"),
    ("the prefix of a list is URL-encoded if the client asks for it, as at S3; boto3 does not decode it", r"%0A", r""),
    ("the key is valid UTF-8, and not there", r"404 == 400", r"^object_read_unreadable$"),
    # Gaps.
    ("responses to parts and completions do not repeat the upload's encryption: the gateway keeps no state of uploads", r"KeyError: 'x-amz-server-side-encryption'", r"^copy_part_enc\["),
    ("checksums of uploads are not passed on ([operating.md](operating.md#what-clients-can-expect))", r"Checksum|ClientError not raised", r"checksum|cksum"),
    ("of the parts of an object, the gateway reports the number only, as S3 does for objects without checksums", r"'(IsTruncated|MaxParts|Parts)'", r"object_attributes"),
    ("s3s: forms with `${filename}`, and codes for faulty policies of forms", r"status_code", r"^post_object"),
    ("s3s: `x-amz-date` in the format of `Date`", r"x-amz-date", r"amz_date"),
    # The suite's own.
    ("an extension of Ceph", r"rgw|RGW|Summary", r""),
    ("an extension of Ceph", r"ClientError not raised", r"unordered"),
    ("the suite expects another name of the region, or a list of buckets without the configured ones", r"'default'|'Buckets'", r"get_location|paginated"),
    ("the client signs all the same, or sends the length: the suite cannot take the header away", r"ClientError not raised", r"_bad_(authorization|contentlength)_(empty|none)$"),
    ("with this boto3, the test completes the upload with a part twice", r"InvalidPartOrder", r"resend_first_finishes_last"),
]


def gateway_config(conf, folder):
    users = configparser.RawConfigParser()
    users.read(conf)
    text = f'[serve]\nlisten = "127.0.0.1:{GATEWAY}"\n'
    for name, section in [("main", "s3 main"), ("alt", "s3 alt"), ("other", "s3 tenant")]:
        access, secret = users[section]["access_key"], users[section]["secret_key"]
        text += f'[tenants.{name}.store.blob.s3]\nbucket = "sandbucket"\nendpoint = "http://127.0.0.1:{BACKEND}"\n'
        text += 'access-key = "devkey"\nsecret-key = "devsecret1"\n'
        # The backend is on loopback; it encrypts nothing, and checks customer keys.
        text += "allow-insecure-sse-customer-key = true\n"
        text += f'[tenants.{name}.gateway]\nkeys = [{{ access-key = "{access}", secret-key = "{secret}", access = "read-write" }}]\n'
        if name == "main":
            text += "".join(f'buckets.s3t-{n} = {{ prefix = "b{n}/" }}\n' for n in range(1, BUCKETS + 1))
        else:
            text += f'buckets.{name}-only = {{ prefix = "{name}/" }}\n'
    path = folder / "sandbucket.toml"
    path.write_text(text)
    return path


def wait_for(port):
    """Waits until a server listens: compiling the plugin takes a debug build some seconds."""
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


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
        wait_for(GATEWAY)
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


def evidence(fault):
    """The call that a test failed at, and the errors that it raised: not the source around them, which names much else."""
    lines = (fault.text or "").splitlines()
    failing = [line[1:].strip() for line in lines if line.startswith(">")]
    raised = [line[1:].strip() for line in lines if re.match(r"E\s", line)]
    return "\n".join([*failing, *raised, fault.get("message") or ""])


def reason(name, failure):
    for words, by_failure, by_name in REASONS:
        if re.search(by_failure, failure) and re.search(by_name, name):
            return words
    return "no reason is known"


def grouped(names, reasons):
    """The names, with `prefix*` for all tests of the suite that begin with it, if they are three or more and have one reason."""
    left, groups = set(names), []
    prefixes = sorted({name[: match.end()] for name in names for match in re.finditer(r"[_\[]|-(?=\D)", name)}, key=len)
    for prefix in prefixes:
        those = {name for name in reasons if name.startswith(prefix)}
        if len(those) > 2 and those <= left:
            left -= those
            groups.append((prefix, f"`{prefix}*` ({len(those)})"))
    groups.extend((name, f"`{name}`") for name in left)
    return ", ".join(text for _, text in sorted(groups))


def main():
    if sys.argv[1].endswith(".xml"):
        return write(Path(sys.argv[1]))
    checkout = Path(sys.argv[1]).resolve()
    command = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else ROOT / "target/debug/sandbucket"
    folder = Path(tempfile.mkdtemp(prefix="s3tests-"))
    write(run(checkout, command, folder))


def write(report):
    """Writes the page of a report."""
    counts, failed, reasons = collections.Counter(), collections.defaultdict(list), {}
    for case in ElementTree.parse(report).iter("testcase"):
        fault = case.find("failure") if case.find("failure") is not None else case.find("error")
        # All are of the same storage class.
        name = case.get("name").removeprefix("test_").replace("-STANDARD-STANDARD", "")
        reasons[name] = None
        if case.find("skipped") is not None:
            counts["skipped"] += 1
        elif fault is None:
            counts["passed"] += 1
        else:
            counts["failed"] += 1
            reasons[name] = reason(name, evidence(fault))
            failed[reasons[name]].append(name)
    lines = [
        "# ceph's s3-tests",
        "",
        "`tests/interop/s3tests.py` runs [ceph's s3-tests](https://github.com/ceph/s3-tests) against `sandbucket serve` over the dev server.",
        "The suite tests a whole S3 service, whose users make buckets and policies; a gateway passes on objects, and has buckets from its",
        "configuration. The dev server encrypts nothing, but checks customer keys as S3 does.",
        "",
        f"Of {sum(counts.values())} tests {counts['passed']} pass, {counts['failed']} fail and {counts['skipped']} are skipped by the suite itself.",
        "",
        "`prefix_*` stands for all tests of the suite that begin with it.",
        "",
        "| failures | reason | tests |",
        "| --- | --- | --- |",
    ]
    for words, names in sorted(failed.items(), key=lambda item: -len(item[1])):
        lines.append(f"| {len(names)} | {words} | {grouped(names, reasons)} |")
    (ROOT / "docs/s3-tests.md").write_text("\n".join(lines) + "\n")
    print(report, counts, {words: len(names) for words, names in failed.items()})


if __name__ == "__main__":
    main()
