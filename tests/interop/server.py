"""A moto server on a free loopback port, with authentication enabled.

Creates the bucket that its argument names. Prints one line of JSON with its endpoint and a key pair with all permissions, and
serves until standard input is closed, so that it never outlives the test that started it.
"""

import json
import logging
import os
import sys

# Number of requests that moto accepts before it enforces authentication: exactly those that create the user and the role below. moto reads
# it at import.
SETTING_UP = 5
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETTING_UP)

import boto3  # noqa: E402
from moto.core.authorization import ActionAuthenticatorMixin  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

# A role that the user may assume, in moto's account.
ROLE = "archive"
USER = {"AWS": "arn:aws:iam::123456789012:user/tester"}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": USER, "Action": "sts:AssumeRole"}]}
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def allow_web_identities():
    """Lets AssumeRoleWithWebIdentity pass unsigned, as STS does: its token is the authentication."""
    authenticate = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def patched(self, *arguments, **named):
        if self._get_action() != "AssumeRoleWithWebIdentity":
            authenticate(self, *arguments, **named)

    ActionAuthenticatorMixin._authenticate_and_authorize_action = patched


def main():
    allow_web_identities()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # No log line per request.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"

    iam = boto3.client(
        "iam",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="setting-up",
        aws_secret_access_key="setting-up",
    )
    iam.create_user(UserName="tester")
    iam.put_user_policy(UserName="tester", PolicyName="anything", PolicyDocument=json.dumps(ANYTHING))
    key = iam.create_access_key(UserName="tester")["AccessKey"]
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=ROLE, PolicyName="anything", PolicyDocument=json.dumps(ANYTHING))

    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    s3.create_bucket(Bucket=sys.argv[1])

    started = {"endpoint": endpoint, "access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
    print(json.dumps(started), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
