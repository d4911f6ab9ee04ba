"""References in values: `%{env:NAME}%` and `%{file:PATH}%`, and `%{%}%` for a literal `%`."""

from __future__ import annotations

from pathlib import Path

from ..text import shown
from .environment import Environment, VariableError
from .files import MAX_SECRET, FileError, read_text

MAX_REFERENCES = 16
MAX_REFERENCE = 4096

_LITERAL = "a `%{` that is to be taken as it is, as in a password, is written `%{%}%{`"


class InterpolationError(Exception):
    """A reference that cannot be replaced. The text has nothing of what was read."""


def interpolate(text: str, environment: Environment) -> str:
    """Replaces the references of a value, once: inserted text is not read again. With all it has at most 64 KiB.

    Raises:
        InterpolationError: Something is missing, malformed or too long.
    """
    out: list[str] = []
    rest = text
    references = 0
    length = len(text.encode("utf-8", "surrogatepass"))
    while "%{" in rest:
        before, _, after = rest.partition("%{")
        reference, end, after = after.partition("}%")
        if not end:
            raise InterpolationError(f"a `%{{` without its `}}%`; {_LITERAL}")
        references += 1
        if references > MAX_REFERENCES:
            raise InterpolationError(f"more than {MAX_REFERENCES} references, `%{{…}}%`, in one value")
        value = _look_up(reference, environment)
        length += len(value.encode())
        _check(length)
        out += [before, value]
        rest = after
    _check(length)
    return "".join(out) + rest


def _check(length: int) -> None:
    if length > MAX_SECRET:
        raise InterpolationError(f"the value is longer than {MAX_SECRET} bytes, with all that it refers to")


def _look_up(reference: str, environment: Environment) -> str:
    if len(reference) > MAX_REFERENCE:
        raise InterpolationError(f"a `%{{…}}%` with more than {MAX_REFERENCE} bytes between `%{{` and `}}%`")
    kind, colon, name = reference.partition(":")
    name = name.strip()
    if kind == "env" and colon:
        try:
            value = environment.variable(name)
        except VariableError as error:
            raise InterpolationError(str(error)) from None
        if value is None:
            raise InterpolationError(f"the variable {shown(name)} is not set")
        return value
    if kind == "file" and colon:
        try:
            return read_text(Path(name), MAX_SECRET).rstrip("\r\n")
        except FileError as error:
            raise InterpolationError(f"the file {shown(name)} {error}") from None
    if reference == "%":
        return "%"
    # Not shown: it may be part of a secret.
    raise InterpolationError(f"a `%{{…}}%` that is neither `%{{env:NAME}}%` nor `%{{file:PATH}}%`; {_LITERAL}")
