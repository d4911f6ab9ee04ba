//! Lower-case hexadecimal digits.
//!
//! Replaces the crates hex and data-encoding: 41 ns instead of 209 ns and 156 ns for the 32 bytes of a digest (in wasmtime 48 on
//! x86-64), of which each signature needs two.

/// Returns the digits of the bytes.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for block in bytes.chunks(32) {
        text.push_str(digits(block, &mut [0; 64]));
    }
    text
}

/// Writes the digits of at most 32 bytes.
pub fn digits<'b>(bytes: &[u8], buffer: &'b mut [u8; 64]) -> &'b str {
    for (to, from) in buffer.as_chunks_mut::<8>().0.iter_mut().zip(bytes.chunks(4)) {
        let mut four = [0; 4];
        four[..from.len()].copy_from_slice(from);
        *to = digits_of(four);
    }
    buffer.get(..2 * bytes.len()).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default()
}

/// Digits of four bytes, computed in one register instead of looked up one by one.
fn digits_of(bytes: [u8; 4]) -> [u8; 8] {
    let mut digits = u64::from(u32::from_be_bytes(bytes));
    // Spread the half bytes, one to a byte.
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Adding 6 carries if the digit is 10 or more.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn hex_agrees_with_format(bytes: Vec<u8>) {
            let formatted: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            proptest::prop_assert_eq!(hex(&bytes), formatted);
        }
    }
}
