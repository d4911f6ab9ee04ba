"""TLS options of a store."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from ..config.files import MAX_CERTIFICATES, FileError, read_text
from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificates that a store trusts, besides those of the system."""

    ca_file: Path | None = None
    """A PEM file with further certificate authorities, or with the service's own certificate."""
    allow_invalid_certs: bool = False
    """Accept any certificate: for a test bench, never for secrets."""

    def context(self) -> ssl.SSLContext:
        """The context for connections.

        Raises:
            ConfigError: The file is none with certificates.
        """
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self.ca_file is not None:
            try:
                context.load_verify_locations(cadata=read_text(self.ca_file, MAX_CERTIFICATES))
            except FileError as error:
                raise ConfigError(f"ca-file: {self.ca_file} {error}", subject="ca-file") from None
            except (ssl.SSLError, ValueError):
                raise ConfigError(f"ca-file: {self.ca_file} has no certificate in PEM form", subject="ca-file") from None
            # The service's own certificate is trusted, self-signed or not.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.allow_invalid_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
