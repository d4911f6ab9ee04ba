"""Settings from a file and from the environment: the rules of docs/configuration.md."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import ACCESS_KEY, BUCKET, SECRET_KEY, Client, Loop

from sandbucket import AccessDeniedError, Config, ConfigError, Engine, InvalidSettingsError, Store
from sandbucket.config.environment import Environment
from sandbucket.config.interpolate import InterpolationError, interpolate

SECTION = "[store.blob.s3]\nbucket = 'demo'\n"


def parsed(text: str, home: Path | None = None, **variables: str) -> Config:
    if home is not None:
        variables["HOME"] = str(home)
    return Config.parse(text, Path("/etc/app/sandbucket.toml"), Environment(variables))


def error_of(text: str, home: Path | None = None, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text, home, **variables)
    assert "hush" not in f"{caught.value} {caught.value!r}"
    return str(caught.value)


def aws_home(path: Path, config: str = "", credentials: str = "") -> Path:
    (path / ".aws").mkdir()
    (path / ".aws/config").write_text(config)
    (path / ".aws/credentials").write_text(credentials)
    return path


def test_section_is_parsed_as_documented() -> None:
    text = """
        [other]
        x = 1
        [store.blob.s3]
        bucket = "stalwart"
        access-key = "%{env:KEY}%"
        secret-key = "minioadmin"
        endpoint = "https://myminio:9000"
        security-token = ""
        profile = " "
        timeout = "30s"
        max-retries = 5
        verify-after-write = true
        ca-file = "ca.pem"
        allow-invalid-certs = "true"
    """
    config = parsed(text, KEY="admin")
    assert config.settings == {
        "bucket": "stalwart",
        "access-key": "admin",
        "secret-key": "minioadmin",
        "endpoint": "https://myminio:9000",
        "timeout": "30s",
        "max-retries": "5",
        "verify-after-write": "true",
    }
    assert config.tls.ca_file == Path("/etc/app/ca.pem")
    assert config.tls.allow_invalid_certs
    # The endpoint is a bare name: the operator means the network at hand.
    assert config.egress.private
    assert not parsed(f"{SECTION}endpoint = 'https://s3.example.com'").egress.private
    assert parsed(f"{SECTION}endpoint = 'https://s3.example.com'\nallow-private = true").egress.private
    assert "minioadmin" not in repr(config)


def test_errors_name_file_line_and_key(tmp_path: Path) -> None:
    at = "/etc/app/sandbucket.toml:3: store.blob.s3."
    assert error_of(f"{SECTION}access-key = '%{{env:NONE}}%'").startswith(f"{at}access-key: the variable NONE")
    assert error_of(f"{SECTION}timeout = 1.5").startswith(f"{at}timeout: expected text")
    assert error_of(f"{SECTION}allow-private = 'hush'").startswith(f"{at}allow-private: ")
    assert error_of(f"{SECTION}profile = 'p'", aws_home(tmp_path)).startswith(f"{at}profile: there is no profile")
    assert error_of(f"{SECTION}credentials = 'aws'").startswith(f"{at}credentials: ")
    assert error_of(f"{SECTION}proxy = 'http://hush@p:1'").startswith(f"{at}proxy: ")
    assert "[store.blob.s3]" in error_of("[store.blob]\nx = 1")
    assert error_of("= 1").startswith("/etc/app/sandbucket.toml:1: ")
    assert error_of(f"{SECTION}secret-key = 'hush\nx = 1").startswith("/etc/app/sandbucket.toml")
    for text in ("store = 'hush'", "store.blob.s3 = ['hush']", "[[store.blob.s3]]\nsecret-key = 'hush'", f"{SECTION}x = {{a = 'hush'}}"):
        assert error_of(text).startswith("/etc/app/sandbucket.toml"), text
    many = "".join(f"k{n} = 1\n" for n in range(256))
    assert "257 keys where 256 are allowed" in error_of(SECTION + many)
    assert "longer than 1048576 bytes" in error_of(SECTION + "#" * (1 << 20))
    assert error_of(f"x = {'[' * 100_000}").startswith("/etc/app/sandbucket.toml")


def test_rejected_setting_is_placed_in_the_file(engine: Engine, tmp_path: Path) -> None:
    def refused(text: str, **variables: str) -> str:
        with pytest.raises((ConfigError, InvalidSettingsError)) as caught:
            Store.of_config(parsed(f"[store.blob.s3]\n{text}", tmp_path, **variables), engine=engine)
        assert "hush" not in str(caught.value)
        return str(caught.value)

    at = "/etc/app/sandbucket.toml"
    assert refused("bucket = 'demo'\ntimeout = 'soon'").startswith(f"{at}:3: store.blob.s3.timeout: ")
    assert refused("buckt = 'b'").startswith(f"{at}:2: store.blob.s3.buckt: ")
    text = "bucket = 'demo'\naccess-key = 'a'\nsecret-key = 's'\nsession-token = 'hushé'"
    assert refused(text).startswith(f"{at}:5: store.blob.s3.session-token: ")
    assert refused("region = 'r'").startswith(f"{at}: store.blob.s3.bucket: ")
    keys = "bucket = 'demo'\naccess-key = 'a'\nsecret-key = 's'"
    assert refused(keys, AWS_ENDPOINT_URL_S3="ftp://x").startswith("AWS_ENDPOINT_URL_S3: ")
    assert refused(f"{keys}\nca-file = '/no/such.pem'").startswith(f"{at}:5: store.blob.s3.ca-file: ")


def test_plugin_documents_its_settings(engine: Engine) -> None:
    settings = {setting.name: setting for setting in engine.settings()}
    assert settings["bucket"].required
    assert settings["secret-key"].secret
    assert settings["security-token"].aliases == ["session-token"]
    assert (settings["timeout"].kind, settings["timeout"].default) == ("duration", "30s")


def test_references_are_replaced_once(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr%{env:A}%t\r\n\n")
    variables = {"A": "one", "EMPTY": "", "LONG": "x" * (64 << 10), "LONGER": "x" * ((64 << 10) + 1)}

    def put(text: str) -> str:
        return interpolate(text, Environment(variables))

    assert put("plain 100% {x}") == "plain 100% {x}"
    assert put("<%{env:A}%-%{env: A }%>") == "<one-one>"
    assert put(f"%{{file:{secret}}}%") == "s3cr%{env:A}%t"
    assert put("ab%{%}%{cd") == "ab%{cd"
    assert put("%{%}%{env:A}%%{%}%%{env:A}%") == "%{env:A}%%one"
    assert put("%{env:A}%" * 16) == "one" * 16
    for text, words in (
        ("%{env:NONE}%", "NONE"),
        ("%{env:EMPTY}%", "not set"),
        ("%{file:/no/such/file}%", "/no/such/file"),
        ("%{file:/dev/zero}%", "longer|character device"),
        (f"%{{file:{tmp_path}}}%", "a folder"),
        ("%{env:A", "}%"),
        ("ab%{cd}%", "neither"),
        ("%{env:A}%" * 17, "more than 16"),
        ("%{env:LONGER}%", "longer than 65536 bytes"),
        ("%{env:LONG}%x", "longer than 65536 bytes"),
        (f"%{{file:{'a/' * 5000}}}%", "4096 bytes"),
    ):
        with pytest.raises(InterpolationError, match=words):
            put(text)


def test_credentials_are_found_in_the_documented_order(tmp_path: Path) -> None:
    config = "[default]\nregion = eu-west-1\n[profile work]\nregion = us-west-2\nendpoint_url = https://work.example.com\n"
    credentials = (
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
        "[work]\naws_access_key_id = WORK ; comment\naws_secret_access_key = a#b=c\naws_session_token = t\n"
    )
    home = aws_home(tmp_path, config, credentials)
    keys = {"AWS_ACCESS_KEY_ID": "VARIABLE", "AWS_SECRET_ACCESS_KEY": "s"}

    def found(text: str = "", **variables: str) -> dict[str, str]:
        return parsed(SECTION + text, home, **variables).settings

    own = found("access-key = 'OWN'\nsecret-key = 's'", **keys)
    assert (own["access-key"], own.get("region")) == ("OWN", None)
    work = found("profile = 'work'", **keys)
    assert (work["access-key"], work["secret-key"], work["security-token"]) == ("WORK", "a#b=c", "t")
    assert (work["region"], work["endpoint"]) == ("us-west-2", "https://work.example.com")
    variable = found(**keys, AWS_REGION="ap-south-1", AWS_ENDPOINT_URL="https://u.example.com")
    assert (variable["access-key"], variable["region"], variable["endpoint"]) == ("VARIABLE", "ap-south-1", "https://u.example.com")
    assert found(AWS_PROFILE="work")["access-key"] == "WORK"
    assert found(AWS_DEFAULT_PROFILE="default", AWS_PROFILE="work")["access-key"] == "DEFAULT"
    assert (found()["access-key"], found()["region"]) == ("DEFAULT", "eu-west-1")
    assert "endpoint" not in found(AWS_PROFILE="work", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true")
    nothing = {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null"}
    assert found(**nothing) == {"bucket": "demo"}
    assert parsed(SECTION, home, AWS_CA_BUNDLE="~/a.pem").tls.ca_file == home / "a.pem"


def test_incomplete_credentials_are_errors(tmp_path: Path) -> None:
    credentials = "[half]\naws_access_key_id = k\n[role]\nrole_arn = a\n[odd]\n  hush\nnothing\n"
    home = aws_home(
        tmp_path, "[bare]\nregion = r\n[profile svc]\nservices = s\naws_access_key_id = k\naws_secret_access_key = hush\n", credentials
    )
    for text, variables, words in (
        ("profile = 'half'", {}, "no aws_secret_access_key"),
        ("profile = 'role'", {}, "role_arn"),
        ("profile = 'bare'", {}, "[profile bare]"),
        ("profile = 'svc'", {}, "[services s]"),
        ("profile = 'odd'", {}, "no aws_access_key_id"),
        ("", {"AWS_PROFILE": "none"}, "AWS_PROFILE: there is no profile"),
        ("", {"AWS_ACCESS_KEY_ID": "k"}, "AWS_SECRET_ACCESS_KEY is not"),
        ("", {"AWS_SECRET_ACCESS_KEY": "hush"}, "AWS_ACCESS_KEY_ID is not"),
        ("", {"AWS_CONFIG_FILE": "/no/such"}, "there is no file /no/such"),
        ("", {}, "credentials:6: "),
    ):
        assert words in error_of(SECTION + text, home, **variables), (text, variables)


def test_credential_process_is_run_within_bounds(tmp_path: Path) -> None:
    from sandbucket.config.process import ProcessError, run

    printing = tmp_path / "print.py"
    printing.write_text('print(\'{"Version": 1, "AccessKeyId": "K", "SecretAccessKey": "S", "SessionToken": "T"}\')')
    home = aws_home(tmp_path, f"[profile p]\ncredential_process = {sys.executable} {printing}\n")
    settings = parsed(f"{SECTION}profile = 'p'", home).settings
    assert (settings["access-key"], settings["secret-key"], settings["security-token"]) == ("K", "S", "T")
    for command, words in (
        (f"{sys.executable} -c 'import time; time.sleep(60)'", "killed"),
        ("sh -c 'sleep 60 & exec sleep 60'", "killed"),
        (f"{sys.executable} -c 'print(\"x\" * 100000)'", "prints more than"),
        (f"{sys.executable} -c 'print(\"hush\")'", "no JSON"),
        ("false", "failed"),
        ("/no/such/program", "cannot be run"),
        ("'", "not closed"),
        (" ", "blank"),
    ):
        with pytest.raises(ProcessError, match=words) as caught:
            run(command, 0.5)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "missing", "loop", "long", "sparse"])
def test_odd_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        import socket

        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "long":
        path.write_bytes(b"#" * ((1 << 20) + 1))
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    with pytest.raises(ConfigError, match=f"{kind}: the file "):
        Config.load(path)


def test_store_is_opened_from_a_file_and_from_the_environment(
    dev_server: dict[str, Any], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sandbucket.toml"
    names = {name.replace("_", "-"): value for name, value in dev_server.items()}
    file.write_text("[store.blob.s3]\n" + "".join(f"{name} = {value!r}\n" for name, value in names.items()))
    Store.from_toml(file, engine=engine).put("k", b"by the file")
    variables: dict[str, Any] = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL_S3": dev_server["endpoint"],
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = Store.from_env(BUCKET, engine=engine)
    assert store.read("k") == b"by the file"
    prefixed = Store.from_env(BUCKET, engine=engine, key_prefix="folder/")
    prefixed.put("k", b"prefixed")
    assert store.read("folder/k") == b"prefixed"
    assert store.delete_many(["k", "folder/k"]) == [None, None]


def rotating(tmp_path: Path, dev_server: dict[str, Any]) -> tuple[Path, Path]:
    """A configuration whose credentials come from a program, which prints what a file has and counts its runs."""
    printed, program = tmp_path / "printed", tmp_path / "program.py"
    program.write_text(f"print(open({str(printed)!r}).read()); open({str(tmp_path / 'runs')!r}, 'a').write('x')")
    home = aws_home(tmp_path, f"[default]\ncredential_process = {sys.executable} {program}\n")
    file = home / "sandbucket.toml"
    file.write_text(f"[store.blob.s3]\nbucket = {BUCKET!r}\nendpoint = {dev_server['endpoint']!r}\nregion = 'us-east-1'\n")
    return file, printed


def credentials_of(secret: str, expires: str = "") -> str:
    return json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": secret, **({"Expiration": expires} if expires else {})})


def test_rejected_credentials_are_looked_for_again(
    client_loop: Loop | None, dev_server: dict[str, Any], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    file, printed = rotating(tmp_path, dev_server)
    monkeypatch.setenv("HOME", str(tmp_path))
    printed.write_text(credentials_of("hush"))
    client = Client.of_config(client_loop, Config.load(file), engine)
    with pytest.raises(AccessDeniedError) as caught:
        client.put("rotated", b"x")
    assert "hush" not in str(caught.value)
    client = Client.of_config(client_loop, Config.load(file), engine)
    printed.write_text(credentials_of(SECRET_KEY))
    client.put("rotated", b"by the new key")
    assert client.read("rotated") == b"by the new key"
    client.delete("rotated")
    assert (tmp_path / "runs").read_text() == "xxxx"


def test_credentials_are_looked_for_again_before_they_expire(
    client_loop: Loop | None, dev_server: dict[str, Any], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    file, printed = rotating(tmp_path, dev_server)
    monkeypatch.setenv("HOME", str(tmp_path))
    soon, late = datetime.now(UTC) + timedelta(seconds=60), datetime.now(UTC) + timedelta(hours=1)
    printed.write_text(credentials_of("of no use soon", soon.isoformat()))
    client = Client.of_config(client_loop, Config.load(file), engine)
    printed.write_text(credentials_of(SECRET_KEY, late.isoformat().replace("+00:00", "Z")))
    for _ in range(3):
        client.put("renewed", b"x")
    client.delete("renewed")
    assert (tmp_path / "runs").read_text() == "xx"


def test_calls_do_not_wait_for_a_renewal_while_their_credentials_are_valid(
    client_loop: Loop | None, dev_server: dict[str, Any], engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    file, printed = rotating(tmp_path, dev_server)
    monkeypatch.setenv("HOME", str(tmp_path))
    soon, late = datetime.now(UTC) + timedelta(seconds=200), datetime.now(UTC) + timedelta(hours=1)
    printed.write_text(credentials_of(SECRET_KEY, soon.isoformat()))
    client = Client.of_config(client_loop, Config.load(file), engine)
    before = client.store._core._opened
    # The program waits for a writer. One that exceeds its time is killed, and nothing is renewed then.
    printed.unlink()
    os.mkfifo(printed)
    for _ in range(3):
        client.put("valid", b"x", timeout=5)
    assert client.store._core._opened is before
    renewal = client.store._core._renewal
    assert renewal is not None
    printed.write_text(credentials_of(SECRET_KEY, late.isoformat()))
    assert renewal.wait(30)
    client.delete("valid")
    assert client.store._core._opened.config.expires == late.timestamp()
    assert (tmp_path / "runs").read_text() == "xx"
