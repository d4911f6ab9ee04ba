"""Discovery of credentials, region, endpoint and certificate authorities outside the section, in AWS's variables and shared files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..text import shown
from . import process
from .environment import Environment, VariableError
from .profiles import Profile, Profiles, ProfilesError

_UNSUPPORTED = ("role_arn", "sso_session", "sso_start_url", "web_identity_token_file", "credential_source")
_INTENT = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token", "credential_process")
# Names of the expiration in profiles that tools for temporary credentials write.
_EXPIRATION = ("x_security_token_expires", "aws_expiration", "aws_credential_expiration", "aws_session_expiration")
OWN = ("access-key", "secret-key", "security-token", "session-token")
_HOW_ANONYMOUS = "for anonymous requests, set AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE to /dev/null"


class DiscoveryError(Exception):
    """Why discovery failed. The text has no secret."""


@dataclass(slots=True)
class Found:
    """What discovery found besides settings."""

    ca_file: Path | None = None
    expires: float | None = None
    """When the credentials that were found expire, in seconds since 1970."""
    origins: dict[str, str] = field(default_factory=dict)
    """The origin of each discovered setting, for errors."""


def complete(settings: dict[str, str], profile: str | None, environment: Environment) -> Found:
    """Completes settings with credentials, region and endpoint, in the order of docs/configuration.md.

    Raises:
        DiscoveryError: Something suggests credentials, and they cannot be had.
    """
    try:
        return _complete(settings, profile, environment)
    except (VariableError, ProfilesError) as error:
        raise DiscoveryError(str(error)) from None


def _complete(settings: dict[str, str], profile: str | None, environment: Environment) -> Found:
    has_keys = any(name in settings for name in OWN)
    variable: str | None = None
    name = profile
    if profile is None and not has_keys:
        variable, name = _selected(environment)
    is_none = profile is None and has_keys
    result = Found()
    from_variables = profile is None and not has_keys and _variables(settings, environment, result)

    if is_none:
        profiles = Profiles()
    elif name is not None:
        profiles = Profiles.read(environment)
    else:
        profiles = _unrequested(environment, from_variables)
    found: Profile = {}
    if name is not None:
        try:
            found = _named(profiles, name)
            if not has_keys and not from_variables:
                _keys(profiles, found, name, settings, result)
        except DiscoveryError as error:
            raise DiscoveryError(f"{variable}: {error}" if variable else str(error)) from None
    elif not is_none:
        name = "default"
        found = profiles.profiles.get(name, {})
        if not from_variables:
            if any(key in found for key in (*_INTENT, *_UNSUPPORTED)):
                try:
                    _keys(profiles, found, name, settings, result)
                except DiscoveryError as error:
                    raise DiscoveryError(f"{error}; {_HOW_ANONYMOUS}") from None
            else:
                _check_anonymous(profiles, environment)
    name = name or ""

    if "region" not in settings:
        candidates = [
            found.get("region") if profile is not None else None,
            environment.variable("AWS_REGION"),
            environment.variable("AWS_DEFAULT_REGION"),
            found.get("region") if profile is None and not from_variables else None,
        ]
        region = next((candidate for candidate in candidates if candidate), None)
        if region is not None:
            settings["region"] = region

    if "endpoint" not in settings:
        endpoint = _endpoint(profiles, found, name, environment)
        if endpoint is not None:
            settings["endpoint"], result.origins["endpoint"] = endpoint
    bundle = environment.variable("AWS_CA_BUNDLE")
    origin = "AWS_CA_BUNDLE"
    if bundle is None and "ca_bundle" in found:
        bundle, origin = found["ca_bundle"], _origin("ca_bundle", name)
    if bundle is not None:
        result.ca_file = environment.expand_home(bundle.strip())
        result.origins["ca-file"] = origin
    return result


def _selected(environment: Environment) -> tuple[str | None, str | None]:
    """The variable that selects a profile, and the profile, in botocore's order."""
    for variable in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE"):
        name = environment.variable(variable)
        if name is not None:
            return variable, name
    return None, None


def _variables(settings: dict[str, str], environment: Environment, found: Found) -> bool:
    """Takes credentials from variables: whether there are any."""
    key = environment.variable("AWS_ACCESS_KEY_ID")
    if key is None:
        return False
    secret = environment.variable("AWS_SECRET_ACCESS_KEY")
    if secret is None:
        raise DiscoveryError("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not")
    token = environment.variable("AWS_SESSION_TOKEN")
    _add(settings, key, secret, token)
    if token is not None:
        # The name that `aws configure export-credentials --format env` uses.
        found.expires = _expiration_of(environment.variable("AWS_CREDENTIAL_EXPIRATION"))
    return True


def _expiration_of(text: str | None) -> float | None:
    """A date and time of RFC 3339. Malformed text counts as absent: the credentials are used until the service rejects them."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _add(settings: dict[str, str], key: str, secret: str, token: str | None) -> None:
    settings["access-key"], settings["secret-key"] = key, secret
    if token is not None:
        settings["security-token"] = token


def _unrequested(environment: Environment, has_credentials: bool) -> Profiles:
    """The profiles, if none is requested. A file in its default place that cannot be read counts as absent if it is no regular file, or
    if there are credentials without it."""
    try:
        return Profiles.read(environment)
    except ProfilesError as error:
        if error.is_named or error.is_content or not (error.is_absent or has_credentials):
            raise
        return Profiles()


def _check_anonymous(profiles: Profiles, environment: Environment) -> None:
    """Rejects anonymous requests if something shows that credentials are intended."""
    for variable in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if environment.variable(variable) is not None:
            raise DiscoveryError(f"{variable} is set, but AWS_ACCESS_KEY_ID is not")
    why = profiles.missing or profiles.malformed
    if why is not None:
        raise DiscoveryError(f"no credentials were found, and {why}; {_HOW_ANONYMOUS}")


def _malformed(profiles: Profiles) -> str:
    why = profiles.missing or profiles.malformed
    return f" ({why})" if why else ""


def _named(profiles: Profiles, name: str) -> Profile:
    found = profiles.profiles.get(name)
    if found is not None:
        return found
    there_are = f"there are {profiles.names()}" if profiles.profiles else "there are none"
    bare = f"; the config file has [{shown(name)}], where it must be [profile {shown(name)}]" if name in profiles.bare else ""
    raise DiscoveryError(
        f'there is no profile "{shown(name)}" in the shared credentials and config files; {there_are}{bare}{_malformed(profiles)}'
    )


def _first(profile: Profile, keys: Iterable[str]) -> str | None:
    return next((profile[key] for key in keys if key in profile), None)


def _keys(profiles: Profiles, profile: Profile, name: str, settings: dict[str, str], result: Found) -> None:
    """Takes the credentials of a profile."""
    key, secret = profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")
    # AWS's tools assume the role even if there are keys beside it, which then are the keys to assume it with.
    unsupported = next((way for way in _UNSUPPORTED if way in profile), None)
    is_role = unsupported == "role_arn"
    named = f'the profile "{shown(name)}"'
    if not is_role:
        if key is not None and secret is not None:
            token = _first(profile, ("aws_session_token", "aws_security_token"))
            _add(settings, key, secret, token)
            if token is not None:
                result.expires = _expiration_of(_first(profile, _EXPIRATION))
            return
        if key is not None:
            raise DiscoveryError(f"{named} has aws_access_key_id but no aws_secret_access_key{_malformed(profiles)}")
        if secret is not None:
            raise DiscoveryError(f"{named} has aws_secret_access_key but no aws_access_key_id{_malformed(profiles)}")
        command = profile.get("credential_process")
        if command is not None:
            try:
                printed = process.run(command)
            except process.ProcessError as error:
                raise DiscoveryError(f"credential_process of {named}: {error}") from None
            _add(settings, *printed[:3])
            result.expires = _expiration_of(printed[3])
            return
    if unsupported is not None:
        raise DiscoveryError(
            f"{named} gets its credentials by way of {unsupported}, which this host does not support: "
            f"`aws configure export-credentials --profile {shown(name)}` gives a key, secret and token to use"
        )
    raise DiscoveryError(f"{named} has no aws_access_key_id and aws_secret_access_key{_malformed(profiles)}")


def _endpoint(profiles: Profiles, profile: Profile, name: str, environment: Environment) -> tuple[str, str] | None:
    """The endpoint that variables or the profile name, and its origin."""
    ignored = environment.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or profile.get("ignore_configured_endpoint_urls")
    if (ignored or "").strip().lower() == "true":
        return None
    for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        url = environment.variable(variable)
        if url is not None:
            return url, variable
    services = profile.get("services")
    if services is not None:
        section = profiles.services.get(services)
        if section is None:
            raise DiscoveryError(
                f'the profile "{shown(name)}" has services = {shown(services)}, but the config file has no [services {shown(services)}]'
            )
        if "s3.endpoint_url" in section:
            return section["s3.endpoint_url"], f"endpoint_url of s3 in [services {shown(services)}]"
    return (profile["endpoint_url"], _origin("endpoint_url", name)) if "endpoint_url" in profile else None


def _origin(key: str, profile: str) -> str:
    return f'{key} of the profile "{shown(profile)}"'
