"""boto3, the AWS command line and urllib on a leash: takes one command a line from standard input, as JSON, and answers
each with one line.

The first line says where the server is: endpoint, region, access_key, secret_key, and maybe a session_token and a bucket, which
is then made, and removed with all that is in it when standard input ends. Each line after it has an `op` and what belongs to it;
bodies are in hexadecimal. An answer has `error`, with the service's code, where the call failed.

create-bucket, keep-versions, put, get, keys   boto3's; a put may name a `checksum` algorithm, a get tells the checksums that came
upload                          boto3's, in parts of `part_size` bytes
presign                         the URL that boto3 makes of `method`, such as get_object, valid for `expires` seconds
fetch                           urllib's answer to a `method` on a `url`, with these `headers`
aws                             what `aws` with these `arguments` and this `body` as its input prints
"""

import email.header
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHECKSUMS = ["ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA256"]


def optional(command):
    """The arguments that a put and an upload may have."""
    given = {"ContentType": command.get("content_type"), "Metadata": command.get("metadata")}
    given["ChecksumAlgorithm"] = command.get("checksum")
    return {name: value for name, value in given.items() if value is not None}


def decoded(value):
    """What RFC 2047 says that a value means."""
    return str(email.header.make_header(email.header.decode_header(value)))


def upload(s3, command):
    where = {"Bucket": command["bucket"], "Key": command["key"]}
    body, size = bytes.fromhex(command["body"]), command["part_size"]
    upload_id = s3.create_multipart_upload(**where, **optional(command))["UploadId"]
    algorithm = {"ChecksumAlgorithm": command["checksum"]} if "checksum" in command else {}
    parts = []
    for number, start in enumerate(range(0, len(body), size), 1):
        piece = body[start : start + size]
        part = s3.upload_part(**where, **algorithm, UploadId=upload_id, PartNumber=number, Body=piece)
        told = {name: part[name] for name in CHECKSUMS if name in part}
        parts.append({"PartNumber": number, "ETag": part["ETag"], **told})
    s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
    return {}


def fetch(command):
    body = bytes.fromhex(command["body"]) if "body" in command else None
    headers = command.get("headers", {})
    if body is not None and "content-type" not in headers:
        # urllib would say that it is a form, and moto would take it apart as one.
        headers["content-type"] = "application/octet-stream"
    request = urllib.request.Request(command["url"], data=body, headers=headers, method=command["method"])
    try:
        with urllib.request.urlopen(request) as answer:
            return {"status": answer.status, "body": answer.read().hex()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().hex()}


def aws(start, command):
    # As Amazon's program would be used by somebody with nothing else in their environment.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.path.join(os.path.dirname(sys.executable), "nobody"),
        "AWS_ENDPOINT_URL": start["endpoint"],
        "AWS_DEFAULT_REGION": start["region"],
        "AWS_ACCESS_KEY_ID": start["access_key"],
        "AWS_SECRET_ACCESS_KEY": start["secret_key"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "awscli", *command["arguments"]],
        input=bytes.fromhex(command.get("body", "")),
        env=environment,
        capture_output=True,
    )
    if done.returncode != 0:
        return {"error": done.stderr.decode(errors="replace").strip()}
    return {"body": done.stdout.hex()}


def run(start, s3, command):
    op, bucket = command["op"], command.get("bucket")
    if op == "create-bucket":
        where = {}
        if command.get("region"):
            where = {"CreateBucketConfiguration": {"LocationConstraint": command["region"]}}
        s3.create_bucket(Bucket=bucket, **where)
        return {}
    if op == "keep-versions":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return {}
    if op == "put":
        body = bytes.fromhex(command["body"])
        s3.put_object(Bucket=bucket, Key=command["key"], Body=body, **optional(command))
        return {}
    if op == "upload":
        return upload(s3, command)
    if op == "get":
        got = s3.get_object(Bucket=bucket, Key=command["key"], ChecksumMode="ENABLED")
        return {
            "body": got["Body"].read().hex(),
            "content_type": got["ContentType"],
            "metadata": got["Metadata"],
            "decoded": {name: decoded(value) for name, value in got["Metadata"].items()},
            "checksums": {name: got[name] for name in CHECKSUMS if name in got},
            "etag": got["ETag"],
        }
    if op == "keys":
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {"keys": [found["Key"] for page in pages for found in page.get("Contents", [])]}
    if op == "presign":
        what = {"Bucket": bucket, "Key": command["key"]}
        return {"url": s3.generate_presigned_url(command["method"], Params=what, ExpiresIn=command["expires"])}
    if op == "fetch":
        return fetch(command)
    if op == "aws":
        return aws(start, command)
    raise ValueError(f"no such op: {op}")


def make_bucket(s3, bucket, region):
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=bucket, **where)
        print(json.dumps({}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"making the bucket {bucket}: {error}"}), flush=True)


def remove_bucket(s3, bucket):
    """As far as it goes: a service need not have versions or uploads."""

    def tolerant(act):
        try:
            act()
        except Exception as error:
            print(f"cleaning up {bucket}: {error}", file=sys.stderr)

    def uploads():
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    def versions():
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for found in page.get("Versions", []) + page.get("DeleteMarkers", []):
                s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])

    def blobs():
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=found["Key"])

    for act in (uploads, versions, blobs, lambda: s3.delete_bucket(Bucket=bucket)):
        tolerant(act)


def main():
    start = json.loads(sys.stdin.readline())
    s3 = boto3.client(
        "s3",
        endpoint_url=start["endpoint"],
        region_name=start["region"],
        aws_access_key_id=start["access_key"],
        aws_secret_access_key=start["secret_key"],
        aws_session_token=start.get("session_token"),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    if start.get("bucket"):
        make_bucket(s3, start["bucket"], start["region"])
    for line in sys.stdin:
        try:
            answer = run(start, s3, json.loads(line))
        except ClientError as error:
            answer = {"error": error.response["Error"]["Code"]}
        except Exception as error:  # The test shows it; a traceback on standard error would be lost.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    if start.get("bucket"):
        remove_bucket(s3, start["bucket"])


if __name__ == "__main__":
    main()
