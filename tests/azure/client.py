"""azure-storage-blob as the other client of an exchange: python client.py ENDPOINT ACCOUNT KEY CONTAINER COMMAND, arguments on
standard input as JSON, the result on standard output as JSON."""

import base64
import json
import sys
from datetime import datetime, timedelta, timezone

from azure.storage.blob import (
    BlobBlock, BlobServiceClient, ContainerSasPermissions, ContentSettings, PublicAccess, generate_container_sas,
)

endpoint, account, key, container, command = sys.argv[1:]
given = json.load(sys.stdin)
service = BlobServiceClient(endpoint, credential={"account_name": account, "account_key": key})
client = service.get_container_client(container)


def text(body):
    return base64.b64encode(body).decode()


def put(blob):
    settings = ContentSettings(content_type=blob["type"], cache_control="no-store", content_language="de")
    blocks = blob.get("blocks")
    body = base64.b64decode(blob["body"])
    target = client.get_blob_client(blob["key"])
    if blocks is None:
        target.upload_blob(body, metadata=blob["metadata"], content_settings=settings, overwrite=True)
        return
    ids = [f"{n:08}" for n in range(blocks)]
    size = -(-len(body) // blocks)
    for n, block in enumerate(ids):
        target.stage_block(block, body[n * size : (n + 1) * size])
    target.commit_block_list([BlobBlock(block) for block in ids], metadata=blob["metadata"], content_settings=settings)


def get(name):
    downloaded = client.download_blob(name)
    properties = downloaded.properties
    return {
        "body": text(downloaded.readall()),
        "metadata": properties.metadata,
        "type": properties.content_settings.content_type,
        "cache-control": properties.content_settings.cache_control,
        "etag": properties.etag,
        "tier": client.get_blob_client(name).get_blob_properties().blob_tier,
    }


def sas(permission):
    expiry = datetime.now(timezone.utc) + timedelta(hours=1)
    return generate_container_sas(
        account, container, account_key=key, permission=ContainerSasPermissions.from_string(permission), expiry=expiry
    )


if command == "put":
    result = [put(blob) for blob in given]
elif command == "get":
    result = {name: get(name) for name in given}
elif command == "list":
    result = [blob.name for blob in client.list_blobs()]
elif command == "stage":
    client.get_blob_client(given["key"]).stage_block(given["block"], given["body"])
    result = None
elif command == "sas":
    result = sas(given)
elif command == "publish":
    client.set_container_access_policy({}, public_access=PublicAccess.BLOB)
    result = None
else:
    sys.exit(f"no command {command}")
json.dump(result, sys.stdout)
