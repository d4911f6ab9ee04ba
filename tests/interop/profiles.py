"""Prints how botocore resolves each case of profiles.json: a JSON list in the format of the cases' `expected`."""

import json
import os
import sys
import tempfile

import botocore.configprovider
import botocore.session


def read(case):
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(f"{home}/.aws")
        for name in ("config", "credentials"):
            if name in case:
                with open(f"{home}/.aws/{name}", "w", newline="") as file:
                    file.write(case[name])
        os.environ.clear()
        os.environ.update(HOME=home, PATH="/usr/bin:/bin", AWS_EC2_METADATA_DISABLED="true", **case.get("variables", {}))
        try:
            session = botocore.session.Session(profile=case.get("profile"))
            credentials = session.get_credentials().get_frozen_credentials()
            endpoint = None
            if not session.get_config_variable("ignore_configured_endpoint_urls"):
                endpoint = botocore.configprovider.ConfiguredEndpointProvider(
                    full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
                ).provide()
            found = {
                "access_key": credentials.access_key,
                "secret_key": credentials.secret_key,
                "token": credentials.token,
                "region": session.get_config_variable("region"),
                "endpoint": endpoint,
                "ca_bundle": session.get_config_variable("ca_bundle"),
            }
        except Exception:
            return {"error": True}
        return {name: value for name, value in found.items() if value is not None}


with open(os.path.join(os.path.dirname(__file__), "profiles.json")) as file:
    json.dump([read(case) for case in json.load(file)], sys.stdout)
