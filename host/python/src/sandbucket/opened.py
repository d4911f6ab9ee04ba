"""An opened store: its settings in instances of the plugin, and where it may connect to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from . import validate
from .config.discovery import OWN
from .config.settings import Config
from .digests import LENGTHS
from .errors import InvalidSettingsError, SandbucketError
from .http.egress import Egress
from .http.tls import Tls
from .sandbox.engine import Engine
from .sandbox.pool import Pool
from .text import sanitized


@dataclass(frozen=True, slots=True)
class Opened:
    """What both clients share of a store."""

    pool: Pool
    egress: Egress
    tls: Tls
    bucket: str
    endpoint: str
    wanted_digests: list[str]
    config: Config = field(repr=False)
    engine: Engine = field(repr=False)

    def renewed(self) -> Opened | None:
        """The store with other credentials, if there are any: those that were found outside its settings are looked for again. Blocks.

        Raises:
            ConfigError: There are none any more.
        """
        if self.config.rediscover is None:
            return None
        config = self.config.rediscover()
        keys = {name: config.settings.get(name) for name in OWN}
        if keys == {name: self.config.settings.get(name) for name in OWN} and config.expires == self.config.expires:
            return None
        # Only the credentials change: where the store connects to stays.
        settings = {**self.config.settings, **{name: value for name, value in keys.items() if value is not None}}
        for name, value in keys.items():
            if value is None:
                settings.pop(name, None)
        return open_store(self.engine, replace(self.config, settings=settings, expires=config.expires))


def settings_of(given: Mapping[str, object]) -> dict[str, str]:
    """Settings by the contract's names, from keyword arguments: `access_key="…"` is `access-key`. Blank and `None` are absent."""
    settings: dict[str, str] = {}
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, str | int):
            text = str(value)
        elif isinstance(value, float) and value.is_integer():
            text = str(int(value))
        elif isinstance(value, float):
            text = f"{value * 1000:.0f}ms"
        else:
            raise InvalidSettingsError(f"{name}: expected text, a number, true or false, not {type(value).__name__}", subject=name)
        if text.strip():
            settings[name.replace("_", "-")] = text
    return settings


def open_store(engine: Engine, config: Config) -> Opened:
    """Opens a store. Sends no request: wrong credentials show in the first call.

    Raises:
        ConfigError: A setting of the file is wrong.
        InvalidSettingsError: A setting is.
    """
    pool = Pool(engine, list(config.settings.items()))
    record = pool.open()
    if record is not None:
        raise config.placed(_error_of(record), engine)
    allowed = config.egress.allowed
    wanted = [algorithm for algorithm in dict.fromkeys(pool.wanted_digests) if algorithm in LENGTHS]
    try:
        config.tls.context()
    except SandbucketError as error:
        raise config.placed(error, engine) from None
    return Opened(
        pool=pool,
        egress=config.egress,
        tls=config.tls,
        bucket=sanitized(config.settings.get("bucket", ""), 256),
        endpoint=sanitized(str(allowed[0]) if allowed else "no endpoint", 256),
        wanted_digests=wanted,
        config=config,
        engine=engine,
    )


def _error_of(record: object) -> SandbucketError:
    """The error of `open`, which the `wasmtime` package converts to an object with the contract's names as attributes."""
    fields = dict(vars(record))
    if fields.get("response") is not None:
        fields["response"] = dict(vars(fields["response"]))
    return validate.error(fields)
