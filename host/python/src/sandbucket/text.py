"""Escaping of text from outside (a service, a plugin, a key) for display on a terminal or in a log."""

from __future__ import annotations

import re

# Control characters, separators of lines and paragraphs, and format characters: bidirectional controls, zero-width ones, the soft
# hyphen, annotations and tags. They hide or reorder what a terminal shows.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    return _NAMED.get(character) or f"\\u{{{ord(character):x}}}"


def sanitized(text: str, most: int) -> str:
    """The text on one line, with unsafe characters escaped, cut to about so many characters."""
    cut = text[:most]
    return _UNSAFE.sub(_escape, cut) + ("…" if len(text) > most else "")


def shown(name: str) -> str:
    """A name or a path as errors show it."""
    return sanitized(name, 200)


def has_controls(text: str) -> bool:
    """Whether a header could not carry the text: it has control characters other than tabs."""
    return any((character < " " and character != "\t") or "\x7f" <= character <= "\x9f" for character in text)
