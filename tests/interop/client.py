"""Runs boto3, the AWS CLI and urllib for the tests: reads one JSON command per line from standard input, and prints one JSON
result per line.

The first line describes the server: endpoint, region, access_key, secret_key, and optionally a session_token, a file of trusted
certificates and a bucket, which is created, and deleted with its content when standard input ends. Each further line has an `op` and its arguments; bodies are
in hexadecimal. A failed command has the service's code in `error`.

create-bucket, keep-versions    with boto3; keep-versions enables versioning
put, get, keys                  with boto3; a put may have a `checksum` algorithm, a get returns the service's checksums
upload                          a multipart upload with boto3, in parts of `part_size` bytes
presign                         the URL that boto3 presigns for `method`, such as get_object, valid for `expires` seconds
presign-virtual                 the same for get_object, with the bucket in the host
fetch                           urllib's response to `method` on `url`, with `headers`
call                            any method of boto3's client with `arguments`, in which {"hex": "…"} stands for bytes
aws                             the output of `aws` with `arguments`, and `body` as its standard input
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
    """The optional arguments of a put or an upload."""
    given = {"ContentType": command.get("content_type"), "Metadata": command.get("metadata")}
    given["ChecksumAlgorithm"] = command.get("checksum")
    return {name: value for name, value in given.items() if value is not None}


def decoded(value):
    """Decodes the encoded words (RFC 2047) of a value."""
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
        checksums = {name: part[name] for name in CHECKSUMS if name in part}
        parts.append({"PartNumber": number, "ETag": part["ETag"], **checksums})
    s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
    return {}


def fetch(command):
    body = bytes.fromhex(command["body"]) if "body" in command else None
    headers = command.get("headers", {})
    if body is not None and "content-type" not in headers:
        # urllib's default is a form's media type, and moto would parse the body as one.
        headers["content-type"] = "application/octet-stream"
    request = urllib.request.Request(command["url"], data=body, headers=headers, method=command["method"])
    try:
        with urllib.request.urlopen(request) as response:
            return {"status": response.status, "body": response.read().hex()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().hex()}


def argument(value):
    """An argument of `call`: with bytes for {"hex": "…"}."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if set(value) == {"hex"} else {k: argument(v) for k, v in value.items()}
    return [argument(one) for one in value] if isinstance(value, list) else value


def result(value):
    """A result of `call` as JSON."""
    if isinstance(value, dict):
        return {k: result(v) for k, v in value.items()}
    if isinstance(value, list):
        return [result(one) for one in value]
    if hasattr(value, "read"):
        return value.read().hex()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def call(s3, command):
    try:
        return {"result": result(getattr(s3, command["method"])(**argument(command["arguments"])))}
    except ClientError as error:
        response = error.response
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return {"failed": response["Error"].get("Code"), "message": response["Error"].get("Message"), "status": status}


def aws(start, command):
    # A clean environment: no profile or setting of the user's may apply.
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
    if op == "presign-virtual":
        virtual = boto3.client(
            "s3",
            endpoint_url=start["endpoint"],
            region_name=start["region"],
            aws_access_key_id=start["access_key"],
            aws_secret_access_key=start["secret_key"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
        )
        what = {"Bucket": bucket, "Key": command["key"]}
        return {"url": virtual.generate_presigned_url("get_object", Params=what, ExpiresIn=command["expires"])}
    if op == "fetch":
        return fetch(command)
    if op == "call":
        return call(s3, command)
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
    """Best effort: a service need not support versions or uploads."""

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
        verify=start.get("trusted"),
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    if start.get("bucket"):
        make_bucket(s3, start["bucket"], start["region"])
    for line in sys.stdin:
        try:
            response = run(start, s3, json.loads(line))
        except ClientError as error:
            response = {"error": error.response["Error"]["Code"]}
        except Exception as error:  # Reported as the result: the test discards standard error.
            response = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(response), flush=True)
    if start.get("bucket"):
        remove_bucket(s3, start["bucket"])


if __name__ == "__main__":
    main()
