"""A configuration: settings with everything that they refer to resolved, and what the host itself reads of them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, InvalidSettingsError, SandbucketError
from ..http.egress import Egress
from ..http.tls import Tls
from ..text import sanitized, shown
from .discovery import OWN, DiscoveryError, complete
from .environment import Environment
from .files import MAX_CONFIG, FileError, read_text
from .interpolate import InterpolationError, interpolate

if TYPE_CHECKING:
    from ..sandbox.engine import Engine

SECTION = ("store", "blob", "s3")
MAX_KEYS = 256
_KEY = re.compile(r"\s*(?:\"(?P<double>[^\"\\]*)\"|'(?P<single>[^']*)'|(?P<bare>[A-Za-z0-9_-]+))\s*=")
_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]")


@dataclass(frozen=True, slots=True)
class Config:
    """A store's configuration.

    One that was read from a file or the environment is the operator's: it reads files and variables, and its endpoint may be on this
    machine or its network. Never parse text that a tenant wrote as one; a tenant's settings are keyword arguments of `Store`.
    """

    settings: dict[str, str] = field(repr=False)
    """The settings for the plugin, by their names in the contract. Some are secrets."""
    egress: Egress
    tls: Tls = field(default_factory=Tls)
    path: str | None = None
    """The file."""
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The origin of settings that are not in the file."""
    expires: float | None = None
    """When credentials that were found outside the section expire, in seconds since 1970."""
    rediscover: Callable[[], Config] | None = field(default=None, repr=False)
    """Looks for such credentials again. `None` if they are the section's own."""

    @staticmethod
    def of_settings(
        settings: Mapping[str, str], *, allow_private: bool = False, allow_networks: tuple[str, ...] = (), tls: Tls | None = None
    ) -> Config:
        """The configuration of these settings, and nothing else. Its store reaches public addresses only, unless private ones are
        allowed."""
        egress = Egress.from_settings(settings)
        if allow_private:
            egress = egress.allow_private()
        try:
            egress = egress.allow_networks(allow_networks)
        except ValueError as error:
            raise InvalidSettingsError(f"allow_networks: {error}", subject="allow-networks") from None
        return Config(dict(settings), egress, tls or Tls())

    @staticmethod
    def load(path: str | Path, environment: Environment | None = None) -> Config:
        """Reads the section `[store.blob.s3]` of a TOML file.

        Raises:
            ConfigError: With file, line and key.
        """
        path = Path(path)
        try:
            text = read_text(path, MAX_CONFIG)
        except FileError as error:
            raise ConfigError(f"{shown(str(path))}: the file {error}") from None
        return Config.parse(text, path, environment)

    @staticmethod
    def parse(text: str, path: Path | None = None, environment: Environment | None = None) -> Config:
        """The same, from text."""
        return _Reader(text, path, environment or Environment()).read()

    @staticmethod
    def from_environment(bucket: str | None = None, environment: Environment | None = None) -> Config:
        """The configuration that AWS's variables and shared files give. The bucket is `bucket`, or `SANDBUCKET_BUCKET`."""
        environment = environment or Environment()
        bucket = bucket or environment.variable("SANDBUCKET_BUCKET")
        reader = _Reader("", None, environment)
        return reader.completed({} if bucket is None else {"bucket": bucket}, None, Tls(), False)

    def with_settings(self, settings: Mapping[str, str]) -> Config:
        """The same, with these settings overriding its own."""
        merged = {**self.settings, **settings}
        egress = Egress.from_settings(merged).allow_private_endpoint()
        egress = egress.allow_private() if self.egress.private else egress
        again = self.rediscover
        if again is None or any(name in settings for name in OWN):
            return replace(self, settings=merged, egress=egress, expires=None, rediscover=None)
        return replace(self, settings=merged, egress=egress, rediscover=lambda: again().with_settings(settings))

    def placed(self, error: SandbucketError, engine: Engine) -> SandbucketError:
        """Adds the position of a rejected setting to an error."""
        if error.subject is None or (self.path is None and not self.lines and not self.origins):
            return error
        names = [error.subject]
        # The file may use an alias, which the plugin knows.
        for known in engine.settings():
            if known.name == error.subject:
                names += known.aliases
        where = self.path or "configuration"
        for name in names:
            if name in self.lines:
                return ConfigError(f"{where}:{self.lines[name]}: {'.'.join(SECTION)}.{name}: {error.message}", subject=error.subject)
            if name in self.origins:
                return type(error)(f"{self.origins[name]}: {error.message}", subject=error.subject)
        if any(name in self.settings for name in names):
            return error
        return ConfigError(f"{where}: {'.'.join(SECTION)}.{error.subject}: {error.message}", subject=error.subject)


class _Reader:
    """The parser of one configuration."""

    def __init__(self, text: str, path: Path | None, environment: Environment) -> None:
        self._text = text
        self._path = path
        self._environment = environment
        self._lines: dict[str, int] = {}

    def _error(self, message: str, key: str | None = None, line: int | None = None) -> ConfigError:
        where = "configuration" if self._path is None else shown(str(self._path))
        place = where if line is None else f"{where}:{line}"
        named = "" if key is None else f": {key}"
        return ConfigError(f"{place}{named}: {sanitized(message, 2000)}", subject=key)

    def read(self) -> Config:
        section = self._section(self._document())
        name = ".".join(SECTION)
        if len(section) > MAX_KEYS:
            raise self._error(f"{len(section)} keys where {MAX_KEYS} are allowed", name)
        self._lines = _lines_of(self._text)
        settings: dict[str, str] = {}
        host: dict[str, str] = {}
        for key, value in section.items():
            line = self._lines.get(key)
            at = f"{name}.{shown(key)}"
            if isinstance(value, bool):
                text = "true" if value else "false"
            elif isinstance(value, int):
                if abs(value) >= 1 << 63:
                    raise self._error("the number is too large", at, line)
                text = str(value)
            elif isinstance(value, str):
                try:
                    text = interpolate(value, self._environment)
                except InterpolationError as error:
                    raise self._error(str(error), at, line) from None
            else:
                raise self._error(f"expected text, a number, true or false, not {_kind(value)}", at, line)
            if not text.strip():
                continue
            if key in ("profile", "credentials", "ca-file", "allow-invalid-certs", "allow-private", "proxy"):
                host[key] = text.strip()
            else:
                settings[key] = text
        return self._finish(settings, host)

    def _finish(self, settings: dict[str, str], host: dict[str, str]) -> Config:
        name = ".".join(SECTION)

        def truth(key: str) -> bool:
            value = host.get(key, "false")
            if value not in ("true", "false"):
                # Not shown: it may come from a file or a variable.
                raise self._error("expected true or false", f"{name}.{key}", self._lines.get(key))
            return value == "true"

        if "credentials" in host:
            what = 'this host has no AWS chain; remove it, and use "profile" or `aws configure export-credentials`'
            raise self._error(what, f"{name}.credentials", self._lines.get("credentials"))
        if host.get("proxy", "none") != "none":
            raise self._error("this host has no support for proxies: remove it", f"{name}.proxy", self._lines.get("proxy"))
        ca_file = None
        if "ca-file" in host:
            folder = Path() if self._path is None else self._path.parent
            ca_file = folder / host["ca-file"]
        return self.completed(settings, host.get("profile"), Tls(ca_file, truth("allow-invalid-certs")), truth("allow-private"))

    def completed(self, settings: dict[str, str], profile: str | None, tls: Tls, allow_private: bool) -> Config:
        """Adds what is found outside the section."""
        given = dict(settings)
        try:
            found = complete(settings, profile, self._environment)
        except DiscoveryError as error:
            key = f"{'.'.join(SECTION)}.profile" if profile is not None else None
            raise self._error(str(error), key, self._lines.get("profile") if key else None) from None
        rediscover = None
        if "access-key" in settings and not any(name in given for name in OWN):
            own = tls

            def rediscover() -> Config:
                return self.completed(dict(given), profile, own, allow_private)

        if tls.ca_file is None:
            tls = replace(tls, ca_file=found.ca_file)
        egress = Egress.from_settings(settings).allow_private_endpoint()
        if allow_private:
            egress = egress.allow_private()
        path = None if self._path is None else shown(str(self._path))
        return Config(settings, egress, tls, path, self._lines, found.origins, found.expires, rediscover)

    def _document(self) -> dict[str, Any]:
        if len(self._text.encode("utf-8", "surrogatepass")) > MAX_CONFIG:
            raise self._error(f"it is longer than {MAX_CONFIG} bytes")
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            # Its text may quote the line: only the place is kept.
            found = re.search(r"at line (\d+)", str(error))
            raise self._error("it is not valid TOML", line=int(found[1]) if found else None) from None
        except (RecursionError, ValueError):
            raise self._error("it is not valid TOML, or nested too deeply") from None

    def _section(self, document: dict[str, Any]) -> dict[str, Any]:
        name = ".".join(SECTION)
        table: Any = document
        for step in SECTION:
            table = table.get(step)
            if table is None:
                raise self._error(f"there is no section [{name}]")
            if not isinstance(table, dict):
                raise self._error(f"expected the section [{name}], not {_kind(table)}", name)
        return table  # type: ignore[no-any-return]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    for kind, text in ((str, "text"), (int, "a number"), (float, "a fraction"), (list, "a list"), (dict, "a section")):
        if isinstance(value, kind):
            return text
    return "a date"


def _lines_of(text: str) -> dict[str, int]:
    """The line of each key of the section, as it is written by hand: `tomllib` does not report positions."""
    lines: dict[str, int] = {}
    is_here = False
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header is not None:
            is_here = tuple(part.strip().strip("\"'") for part in header[1].split(".")) == SECTION
            continue
        found = _KEY.match(line) if is_here else None
        if found is not None:
            key = found["double"] or found["single"] or found["bare"]
            if key:
                lines.setdefault(key, number)
    return lines
