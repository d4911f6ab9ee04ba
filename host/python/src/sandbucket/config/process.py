"""`credential_process`: credentials printed by a program, as specified in AWS's SDKs and Tools Reference Guide.

The program runs without a shell, with bounded output and time; one that exceeds the time is killed with its children. It inherits standard
error.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import signal
import subprocess
import time

from ..text import shown
from .files import MAX_SECRET

TIMEOUT = 60.0


class ProcessError(Exception):
    """Why there are no credentials. The text has nothing that the program printed."""


def run(command: str, timeout: float = TIMEOUT) -> tuple[str, str, str | None, str | None]:
    """Runs a command: access key, secret key, session token and expiration that it prints."""
    deadline = time.monotonic() + timeout
    try:
        words = shlex.split(command)
    except ValueError:
        raise ProcessError("a quote in the command is not closed") from None
    if not words:
        raise ProcessError("the command is blank")
    name = shown(words[0])
    try:
        # Its own session, so that its children are killed with it.
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    except (OSError, ValueError) as error:
        raise ProcessError(f"{name} cannot be run: {error}") from None
    try:
        output = _read(child, deadline, name)
        try:
            status = child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{name} has not ended within {timeout:g} s, and was killed") from None
        if status != 0:
            raise ProcessError(f"{name} failed (status {status}); what it wrote to standard error is in this process's")
        return _parse(output, name)
    except TimeoutError:
        raise ProcessError(f"{name} has not ended within {timeout:g} s, and was killed") from None
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _read(child: subprocess.Popen[bytes], deadline: float, name: str) -> bytes:
    assert child.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                return output
            output += piece
            if len(output) > MAX_SECRET:
                raise ProcessError(f"{name} prints more than {MAX_SECRET} bytes")


def _parse(output: bytes, name: str) -> tuple[str, str, str | None, str | None]:
    try:
        printed = json.loads(output)
    except (ValueError, RecursionError):
        raise ProcessError(f"{name} prints no JSON") from None
    if not isinstance(printed, dict) or printed.get("Version") != 1:
        raise ProcessError(f"{name} prints no credentials of version 1")

    def of(key: str) -> str | None:
        value = printed.get(key)
        return value if isinstance(value, str) and value.strip() else None

    access, secret = of("AccessKeyId"), of("SecretAccessKey")
    if access is None or secret is None:
        raise ProcessError(f"{name} prints no AccessKeyId and SecretAccessKey")
    return access, secret, of("SessionToken"), of("Expiration")
