"""Parser of AWS's shared credentials and config files.

The rules are those of botocore's parser, which the AWS CLI and boto3 use: a line indented deeper than the key above it belongs to that
key, `=` or `:` ends a key, section names may be quoted. Where botocore rejects a whole file because of one line, this parser skips the
line, and errors point to it.
"""

from __future__ import annotations

import re
import shlex

from ..text import shown
from .environment import Environment
from .files import MAX_CONFIG, FileError, read_text

NAMES = 20
"""Profiles that an error names."""

Profile = dict[str, str]

_PAIR = re.compile(r"([^=:]*)[=:](.*)", re.DOTALL)


class ProfilesError(Exception):
    """A file that exists and cannot be read."""

    def __init__(self, message: str, *, is_named: bool, is_absent: bool, is_content: bool) -> None:
        super().__init__(message)
        self.is_named = is_named
        """Whether a variable names the file."""
        self.is_absent = is_absent
        """Whether there is none to read: a folder, a device."""
        self.is_content = is_content


class Profiles:
    """The profiles of both files. If both define a key of a profile, the credentials file takes precedence."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.services: dict[str, Profile] = {}
        self.bare: list[str] = []
        """Sections of the config file without the word `profile` before their name."""
        self.malformed: str | None = None
        """The position of the first malformed line, and what is wrong with it."""
        self.missing: str | None = None
        """The first missing file that a variable names."""

    @staticmethod
    def read(environment: Environment) -> Profiles:
        """Reads both files. A missing file counts as empty, and so does `/dev/null`."""
        profiles = Profiles()
        for variable, name, is_config in (
            ("AWS_CONFIG_FILE", "config", True),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", False),
        ):
            file = environment.aws_file(variable, name)
            if file is None or str(file[0]) == "/dev/null":
                continue
            path, is_named = file
            try:
                profiles.add(read_text(path, MAX_CONFIG), shown(str(path)), is_config)
            except FileError as error:
                if not path.exists() and error.is_missing:
                    if is_named and profiles.missing is None:
                        profiles.missing = f"{variable}: there is no file {shown(str(path))}"
                    continue
                by = f"{variable}: " if is_named else ""
                message = f"{by}{path} {error}"
                raise ProfilesError(message, is_named=is_named, is_absent=error.is_missing, is_content=error.is_content) from None
        return profiles

    def names(self) -> str:
        """The profiles' names, for errors."""
        names = [shown(name) for name in sorted(self.profiles)[:NAMES]]
        more = len(self.profiles) - NAMES
        return ", ".join(names + ([f"and {more} more"] if more > 0 else []))

    def _mark(self, file: str, line: int, what: str) -> None:
        if self.malformed is None:
            self.malformed = f"{file}:{line}: {what}"

    def add(self, text: str, file: str, is_config: bool) -> None:
        """Adds the sections of a file."""
        keys: Profile | None = None
        before = True
        # The key that deeper lines belong to, and whether they are keys themselves, as after `s3 =`.
        option: tuple[str, bool] | None = None
        level = 0
        # Windows editors prepend a byte order mark.
        for number, whole in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            line = whole.strip()
            if not line or line[0] in "#;":
                continue
            indent = len(whole) - len(whole.lstrip())
            pair = _pair(line)
            if option is not None and indent > level:
                outer, is_nested = option
                if keys is None and not before:
                    pass
                elif pair is not None and is_nested and keys is not None:
                    _insert(keys, f"{outer}.{pair[0]}", pair[1])
                elif is_nested:
                    self._mark(file, number, "this is no `KEY = VALUE`")
                else:
                    self._mark(file, number, "this line is indented deeper than the key above it, and so it is part of that key's value")
                continue
            level = indent
            if line.startswith("["):
                option, before = None, False
                keys = self._section(line[1:].split("]")[0].strip(), is_config)
            elif before:
                self._mark(file, number, "this is before the first `[SECTION]`")
            elif pair is not None:
                option = (pair[0].lower(), not pair[1])
                if keys is not None:
                    _insert(keys, *pair)
            elif keys is not None:
                self._mark(file, number, "this is neither a `[SECTION]` nor `KEY = VALUE`")

    def _section(self, header: str, is_config: bool) -> Profile | None:
        """The section of a header. In the config file, profiles other than `default` have the word `profile` before their name."""
        if not is_config:
            name = _unquoted(header) if header[:1] in ('"', "'") else header
            return self.profiles.setdefault(name, {})
        kind, *rest = header.split(None, 1) or [""]
        if rest and kind == "profile":
            return self.profiles.setdefault(_unquoted(rest[0].strip()), {})
        if rest and kind == "services":
            return self.services.setdefault(_unquoted(rest[0].strip()), {})
        if header == "default":
            return self.profiles.setdefault(header, {})
        if len(self.bare) < NAMES:
            self.bare.append(header)
        return None


def _unquoted(name: str) -> str:
    """A name that may be quoted as in a shell. A name with spaces needs no quotes."""
    try:
        words = shlex.split(name)
    except ValueError:
        return name
    return words[0] if len(words) == 1 else name


def _pair(line: str) -> tuple[str, str] | None:
    """A key and its value, without a trailing comment, which begins with a space."""
    found = _PAIR.match(line)
    if found is None:
        return None
    key, value = found[1].rstrip(), found[2]
    # A command may contain these marks.
    if key.lower() != "credential_process":
        for mark in (" #", " ;", "\t#", "\t;"):
            value = value.split(mark)[0]
    return (key, value.strip()) if key else None


def _insert(keys: Profile, key: str, value: str) -> None:
    if value:
        keys[key.lower()] = value
