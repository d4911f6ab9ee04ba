// The retries that a store's calls may make together: a token bucket, as in the standard retry mode of the AWS SDKs.
//
// Each retry takes tokens, and successes give them back. While a service is down for long, the bucket runs empty: calls then fail
// with their first attempt, and a store sends no more requests than its callers make calls.

/** Tokens that a retry takes, and twice as many after a timeout. A success that took retries gives back those of the last one. */
const RETRY_COST = 5;
const TIMEOUT_COST = 10;
/** Tokens that a success with the first attempt gives back. */
const SUCCESS_REFUND = 1;
/** The least capacity, which is that of the AWS SDKs. */
const MIN_CAPACITY = 500;
/** Retries of each concurrent call that the bucket has tokens for: the default of the setting `max-retries`. */
const RETRIES_PER_CALL = 8;

export class RetryQuota {
  #capacity;
  #tokens;

  /** @param {number} calls that a store may make at once */
  constructor(calls) {
    this.#capacity = Math.max(MIN_CAPACITY, calls * RETRIES_PER_CALL * RETRY_COST);
    this.#tokens = this.#capacity;
  }

  /** Takes the tokens for a retry after an error of this kind, and returns their number; 0 where there are too few. */
  take(kind) {
    const cost = kind === 'timeout' ? TIMEOUT_COST : RETRY_COST;
    if (this.#tokens < cost) return 0;
    this.#tokens -= cost;
    return cost;
  }

  /** Gives back what a success does that took these tokens for its last retry. */
  succeeded(taken) {
    this.#tokens = Math.min(this.#capacity, this.#tokens + Math.max(taken, SUCCESS_REFUND));
  }
}
