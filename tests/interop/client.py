"""boto3 on a leash: takes one command a line from standard input, as JSON, and answers each with one line.

The first line says where the server is: endpoint, region, access_key, secret_key. Each line after it has an `op`
(create-bucket, put, get or keys) and what belongs to it; bodies are in hexadecimal. An answer has `error`, with the
service's code, where the call failed.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def run(s3, command):
    op, bucket = command["op"], command["bucket"]
    if op == "create-bucket":
        where = {}
        if command.get("region"):
            where = {"CreateBucketConfiguration": {"LocationConstraint": command["region"]}}
        s3.create_bucket(Bucket=bucket, **where)
        return {}
    if op == "put":
        s3.put_object(
            Bucket=bucket,
            Key=command["key"],
            Body=bytes.fromhex(command["body"]),
            ContentType=command["content_type"],
            Metadata=command["metadata"],
        )
        return {}
    if op == "get":
        got = s3.get_object(Bucket=bucket, Key=command["key"])
        return {
            "body": got["Body"].read().hex(),
            "content_type": got["ContentType"],
            "metadata": got["Metadata"],
            "etag": got["ETag"],
        }
    if op == "keys":
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {"keys": [found["Key"] for page in pages for found in page.get("Contents", [])]}
    raise ValueError(f"no such op: {op}")


def main():
    start = json.loads(sys.stdin.readline())
    s3 = boto3.client(
        "s3",
        endpoint_url=start["endpoint"],
        region_name=start["region"],
        aws_access_key_id=start["access_key"],
        aws_secret_access_key=start["secret_key"],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    for line in sys.stdin:
        try:
            answer = run(s3, json.loads(line))
        except ClientError as error:
            answer = {"error": error.response["Error"]["Code"]}
        except Exception as error:  # The test shows it; a traceback on standard error would be lost.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
