"""Part sizes of an upload: equal as long as possible, growing if a body of unknown length would need too many parts.

S3 accepts 10,000 parts of up to 5 GiB. Some services (Cloudflare R2) require all parts but the last to have equal size, so parts grow
late: the first 5,000, or as many as the length hint requires, are equal. Then the size doubles every 500 parts, up to 5 GiB. Starting at
8 MiB, which covers 39 GiB with equal parts, that reaches 6.4 TiB.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PARTS = 10_000
DEFAULT_PART_SIZE = 8 << 20
MAX_PART_SIZE = 5 << 30
EQUAL_PARTS = 5_000
HINTED_PARTS = 9_000
DOUBLE_EVERY = 500
GROWN_MEMORY = 1 << 30
"""Memory up to which grown parts are sent concurrently."""


@dataclass(frozen=True, slots=True)
class PartSizes:
    """The part sizes of one upload, by part number, which starts at 1."""

    base: int
    equal: int = EQUAL_PARTS

    @staticmethod
    def of(part_size: int, announced: int | None = None) -> PartSizes:
        """Parts of this size, or of a larger one if the length hint requires it."""
        if announced is None:
            return PartSizes(part_size)
        least = -(-announced // HINTED_PARTS)
        base = part_size
        if least > base:
            base = min(-(-least // (1 << 20)) * (1 << 20), max(MAX_PART_SIZE, base))
        return PartSizes(base, min(max(-(-announced // max(base, 1)), EQUAL_PARTS), MAX_PARTS))

    def size(self, number: int) -> int:
        """The size of this part, unless it is the last."""
        grown = max(0, number - self.equal)
        return min(self.base << min(-(-grown // DOUBLE_EVERY), 32), max(MAX_PART_SIZE, self.base))

    def concurrency(self, number: int, wanted: int) -> int:
        """How many parts of this part's size to send at once: fewer once parts have grown, so that they take no more memory than
        before, or than 1 GiB if that is more."""
        before = self.base * (wanted + 1)
        return min(max(max(before, GROWN_MEMORY) // max(self.size(number), 1) - 1, 1), max(wanted, 1))
