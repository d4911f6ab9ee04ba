//! Part sizes of an upload: equal as long as possible, growing if a body of unknown length would need too many parts.
//!
//! S3 accepts 10,000 parts of up to 5 GiB. Some services (Cloudflare R2) require all parts but the last to have equal size,
//! so parts grow late: the first 5,000, or as many as the length hint requires, are equal. Then the size doubles every 500
//! parts, up to 5 GiB. A grown part is about a thousandth of the bytes before it. Starting at 8 MiB, which covers 39 GiB
//! with equal parts, that reaches 6.4 TiB.

/// Maximum number of parts of an upload.
pub(crate) const MAX_PARTS: u32 = 10_000;
/// Default part size in bytes.
pub(crate) const DEFAULT_PART_SIZE: usize = 8 << 20;
/// S3's maximum part size.
const MAX_PART_SIZE: u64 = 5 << 30;
/// Number of equal parts without a length hint.
const EQUAL_PARTS: u32 = 5_000;
/// Maximum number of parts for a length hint. The rest is for a longer body.
const HINTED_PARTS: u32 = 9_000;
/// Number of parts between two doublings.
const DOUBLE_EVERY: u32 = 500;
/// Memory up to which grown parts are sent concurrently.
const GROWN_MEMORY: u64 = 1 << 30;

/// The part sizes of one upload, by part number, which starts at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartSizes {
    /// Size of the first parts.
    base: u64,
    /// Number of parts of that size.
    equal: u32,
}

impl PartSizes {
    /// Parts of this size, or of a larger one if the length hint requires it.
    pub(crate) fn new(part_size: usize, announced: Option<u64>) -> Self {
        let base = part_size as u64;
        let Some(announced) = announced else { return PartSizes { base, equal: EQUAL_PARTS } };
        let least = announced.div_ceil(u64::from(HINTED_PARTS));
        let base = if least > base { least.next_multiple_of(1 << 20).min(MAX_PART_SIZE.max(base)) } else { base };
        let needed = u32::try_from(announced.div_ceil(base.max(1))).unwrap_or(MAX_PARTS);
        PartSizes { base, equal: needed.clamp(EQUAL_PARTS, MAX_PARTS) }
    }

    /// The size of this part, unless it is the last.
    pub(crate) fn size(&self, number: u32) -> u64 {
        let grown = number.saturating_sub(self.equal);
        let doublings = grown.div_ceil(DOUBLE_EVERY).min(32);
        // The caller may have chosen a larger one.
        self.base.saturating_mul(1 << doublings).min(MAX_PART_SIZE.max(self.base))
    }

    /// The number of parts of this part's size to send concurrently, of `wanted` ones: fewer once parts have grown, so that
    /// they and the part being filled take no more memory than before, or than 1 GiB if that is more; at least one.
    pub(crate) fn concurrency(&self, number: u32, wanted: usize) -> usize {
        let before = self.base.saturating_mul(wanted as u64 + 1);
        let allowed = before.max(GROWN_MEMORY) / self.size(number).max(1);
        usize::try_from(allowed.saturating_sub(1)).unwrap_or(wanted).clamp(1, wanted.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn total(sizes: PartSizes) -> u64 {
        (1..=MAX_PARTS).map(|number| sizes.size(number)).sum()
    }

    #[test]
    fn parts_are_equal_first_and_then_grow_to_the_largest_object() {
        let sizes = PartSizes::new(DEFAULT_PART_SIZE, None);
        assert!((1..=5000).all(|number| sizes.size(number) == 8 * MIB));
        assert_eq!([5001, 5500, 5501].map(|number| sizes.size(number)), [16 * MIB, 16 * MIB, 32 * MIB]);
        assert_eq!(sizes.size(MAX_PARTS), MAX_PART_SIZE);
        assert!(total(sizes) > 5 << 40, "{}", total(sizes));
    }

    #[test]
    fn grown_part_is_a_small_share_of_the_bytes_written() {
        let sizes = PartSizes::new(DEFAULT_PART_SIZE, None);
        let mut written = 0;
        for number in 1..=MAX_PARTS {
            let size = sizes.size(number);
            assert!(number <= 5000 || size * 450 <= written, "part {number} of {size} after {written}");
            written += size;
        }
    }

    #[test]
    fn length_hint_gives_equal_parts() {
        for announced in [0, 1, 8 * MIB, 40 << 30, 77 << 30, 100 << 30, 5 << 40] {
            let sizes = PartSizes::new(DEFAULT_PART_SIZE, Some(announced));
            let needed = announced.div_ceil(sizes.base);
            assert!(needed <= u64::from(MAX_PARTS) && needed <= u64::from(sizes.equal), "{announced}: {sizes:?}");
        }
        // A hint that was too low leaves room.
        let sizes = PartSizes::new(DEFAULT_PART_SIZE, Some(100 << 30));
        assert!(total(sizes) > 130 << 30, "{}", total(sizes));
        // No hint makes parts larger than the service accepts, or overflows.
        assert_eq!(PartSizes::new(DEFAULT_PART_SIZE, Some(u64::MAX)).size(1), MAX_PART_SIZE);
        assert_eq!(PartSizes::new(usize::MAX, Some(u64::MAX)).size(MAX_PARTS), u64::MAX);
    }

    #[test]
    fn grown_parts_lower_the_concurrency() {
        let sizes = PartSizes::new(DEFAULT_PART_SIZE, None);
        assert_eq!(sizes.concurrency(1, 4), 4);
        for number in 1..=MAX_PARTS {
            let concurrency = sizes.concurrency(number, 4);
            assert!((1..=4).contains(&concurrency));
            let memory = sizes.size(number) * (concurrency as u64 + 1);
            assert!(memory <= GROWN_MEMORY || concurrency == 1, "part {number}: {memory}");
        }
        // The caller's part size applies.
        assert_eq!(PartSizes::new(1 << 30, None).concurrency(1, 16), 16);
    }
}
