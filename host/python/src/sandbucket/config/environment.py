"""The environment: variables and the user's home. Tests give their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..text import shown
from .files import MAX_SECRET


class VariableError(Exception):
    """A variable that cannot be used. The text has nothing of its value."""


class Environment:
    """Variables of a process."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def variable(self, name: str) -> str | None:
        """A variable that is set and not empty.

        Raises:
            VariableError: It is longer than 64 KiB, or not UTF-8.
        """
        value = self._variables.get(name)
        if not value:
            return None
        try:
            encoded = value.encode()
        except UnicodeEncodeError:
            raise VariableError(f"the variable {shown(name)} is not UTF-8 text") from None
        if len(encoded) > MAX_SECRET:
            raise VariableError(f"the variable {shown(name)} is longer than {MAX_SECRET} bytes")
        return value

    def expand_home(self, path: str) -> Path:
        """Expands a leading `~/` to the user's home."""
        home = self._variables.get("HOME")
        return Path(home, path[2:]) if path.startswith("~/") and home else Path(path)

    def aws_file(self, variable: str, name: str) -> tuple[Path, bool] | None:
        """A file in the folder `.aws`, or the one that this variable names; and whether the variable names it."""
        named = self._variables.get(variable)
        if named:
            return self.expand_home(named), True
        home = self._variables.get("HOME")
        return (Path(home, ".aws", name), False) if home else None
