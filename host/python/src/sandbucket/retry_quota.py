"""The retries that a store's calls may make together: a token bucket, as in the standard retry mode of the AWS SDKs.

Each retry takes tokens, and successes give them back. While a service is down for long, the bucket runs empty: calls then fail with
their first attempt, and a store sends no more requests than its callers make calls.
"""

from __future__ import annotations

import threading

from .errors import RequestTimeoutError, SandbucketError

RETRY_COST = 5
TIMEOUT_COST = 10
SUCCESS_REFUND = 1
"""What a success with the first attempt gives back; one after retries gives back what the last took."""
MIN_CAPACITY = 500
"""That of the AWS SDKs."""
RETRIES_PER_CALL = 8
"""Retries of each of a store's calls at once that there are tokens for: as many as `max-retries` allows by default."""


class RetryQuota:
    """The retry tokens of a store."""

    def __init__(self, calls: int) -> None:
        self._capacity = max(MIN_CAPACITY, calls * RETRIES_PER_CALL * RETRY_COST)
        self._tokens = self._capacity
        self._lock = threading.Lock()

    def take(self, error: SandbucketError) -> int | None:
        """Takes the tokens for a retry after this error; `None` where there are too few."""
        cost = TIMEOUT_COST if isinstance(error, RequestTimeoutError) else RETRY_COST
        with self._lock:
            if self._tokens < cost:
                return None
            self._tokens -= cost
            return cost

    def succeeded(self, taken: int) -> None:
        """Gives back what a success does that took these tokens for its last retry."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + max(taken, SUCCESS_REFUND))
