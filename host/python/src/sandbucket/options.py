"""Options of calls as records of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .driver import nanos
from .errors import InvalidArgumentError
from .limits import Limits

PLUGIN_TIME_LIMIT = 600.0
"""The time limit that a plugin assumes when it is given none."""

CALL = frozenset({"timeout", "max_retries", "attributes"})
READ = CALL | {"version", "if_match", "if_none_match", "if_modified_since", "if_unmodified_since"}
VERSION = CALL | {"version"}
WRITE = CALL | {"content_type", "metadata", "if_absent", "if_match"}
UPLOAD = WRITE | {"part_size", "concurrency", "length_hint"}
COPY = CALL | {"if_absent", "if_match", "source_if_match", "source_if_none_match", "content_type", "metadata"}
PAGE = CALL | {"page_size", "continuation"}
LIST = PAGE | {"delimiter", "start_after"}
PREFIX = PAGE | {"prefix"}
PRESIGN = CALL | {"version", "headers"}


def known(call: str, options: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The options that are given, if the call has all of them.

    Raises:
        TypeError: It lacks one.
    """
    unknown = set(options) - names
    if unknown:
        raise TypeError(f"{call} has no option {', '.join(sorted(unknown))}; it has {', '.join(sorted(names))}")
    return {name: value for name, value in options.items() if value is not None}


def pairs(given: Mapping[str, str] | None) -> list[tuple[str, str]] | None:
    """Metadata, attributes or tags."""
    if given is None:
        return None
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgumentError(f"{name!r}: names and values are text", subject="metadata")
    return list(given.items())


def _time(given: datetime | None) -> Any:
    if given is None:
        return None
    seconds = int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())
    if seconds < 0:
        raise InvalidArgumentError(f"{given}: a time before 1970", subject="conditions")
    return {"seconds": seconds, "nanoseconds": 0}


def number(name: str, given: int | None, most: int) -> int | None:
    """A number that the contract has room for."""
    if given is not None and not 0 <= given <= most:
        raise InvalidArgumentError(f"{name} is {given}, which is not between 0 and {most}", subject=name.replace("_", "-"))
    return given


def call(given: Mapping[str, Any], limits: Limits) -> Any:
    """The common options."""
    timeout = given.get("timeout")
    if timeout is not None and not timeout > 0:
        raise InvalidArgumentError(f"timeout is {timeout}, and has to be above 0", subject="time-limit")
    limit = limits.limit(timeout)
    return {
        "time-limit": None if limit == PLUGIN_TIME_LIMIT else nanos(limit),
        "max-retries": number("max_retries", given.get("max_retries"), 0xFFFF_FFFF),
        "attributes": pairs(given.get("attributes")),
    }


def conditions(given: Mapping[str, Any], prefix: str = "") -> Any:
    """Conditions of a read."""
    record = {
        "if-match": given.get(f"{prefix}if_match"),
        "if-none-match": given.get(f"{prefix}if_none_match"),
        "if-modified-since": _time(given.get(f"{prefix}if_modified_since")),
        "if-unmodified-since": _time(given.get(f"{prefix}if_unmodified_since")),
    }
    return record if any(value is not None for value in record.values()) else None


def condition(given: Mapping[str, Any]) -> Any:
    """Condition of a write."""
    if given.get("if_absent") and given.get("if_match") is not None:
        raise InvalidArgumentError("if_absent and if_match go not together", subject="condition")
    if given.get("if_absent"):
        return ("if-absent", None)
    if given.get("if_match") is not None:
        return ("if-match", given["if_match"])
    return None


def page(given: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What all listings have."""
    return {
        "continuation": given.get("continuation"),
        "page-size": number("page_size", given.get("page_size"), 0xFFFF_FFFF),
        "call": call(given, limits),
    }


def listing(given: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Options of a listing of blobs."""
    return {
        "prefix": given.get("prefix"),
        "delimiter": given.get("delimiter"),
        "start-after": given.get("start_after"),
        **page(given, limits),
    }
