//! Text put together of many short pieces, as canonical requests and headers are.
//!
//! A string of the library's asks for room at each piece, and WebAssembly's way of copying, which the library takes for the
//! shortest of them, is a call out of the sandbox.

/// Text in the making. What is cleared keeps its room.
#[derive(Debug, Default)]
pub struct Composed {
    /// The text's bytes, and room behind them.
    room: Vec<u8>,
    length: usize,
}

impl Composed {
    /// No text yet, and room for so many bytes.
    pub fn with_room(room: usize) -> Self {
        Composed { room: vec![0; room], length: 0 }
    }

    /// Makes it no text again.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends these pieces.
    pub fn push(&mut self, pieces: &[&str]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut room = self.room_for(length);
        for piece in pieces {
            let to = room.split_off_mut(..piece.len()).unwrap_or_default();
            copy(to, piece.as_bytes());
        }
    }

    /// Appends the bytes in lower-case hex.
    pub fn push_hex(&mut self, bytes: &[u8]) {
        let room = self.room_for(2 * bytes.len());
        let (fours, rest) = bytes.as_chunks::<4>();
        let (eights, last) = room.as_chunks_mut::<8>();
        for (to, four) in eights.iter_mut().zip(fours) {
            *to = hex_of(*four);
        }
        if !rest.is_empty() {
            let mut four = [0; 4];
            four[..rest.len()].copy_from_slice(rest);
            last.copy_from_slice(&hex_of(four)[..2 * rest.len()]);
        }
    }

    /// Makes the text longer by so many bytes, and gives them: text has to go there.
    #[inline(always)]
    fn room_for(&mut self, more: usize) -> &mut [u8] {
        let (start, end) = (self.length, self.length + more);
        if end > self.room.len() {
            self.grow(end);
        }
        self.length = end;
        &mut self.room[start..end]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, end: usize) {
        self.room.resize(end + end / 2, 0);
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// The text.
    pub fn into_string(mut self) -> String {
        self.room.truncate(self.length);
        // SAFETY: only text was appended, and digits.
        unsafe { String::from_utf8_unchecked(self.room) }
    }
}

/// Copies bytes to where there is room for as many: short ones from both ends to the middle, where they meet or overlap.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from {
        [] => {}
        [only] => to.fill(*only),
        _ if from.len() > 32 => to.copy_from_slice(from),
        _ => {
            let _ = copy_ends::<16>(to, from)
                || copy_ends::<8>(to, from)
                || copy_ends::<4>(to, from)
                || copy_ends::<2>(to, from);
        }
    }
}

/// Copies so many bytes at either end. False where there are fewer.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    if let Some(to) = to.first_chunk_mut::<N>() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut::<N>() {
        *to = *last;
    }
    true
}

/// The bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut hex = Composed::with_room(2 * bytes.len());
    hex.push_hex(bytes);
    hex.into_string()
}

/// The digits of four bytes: all in one go, as looking each up takes many times as long.
fn hex_of(bytes: [u8; 4]) -> [u8; 8] {
    let mut digits = u64::from(u32::from_be_bytes(bytes));
    // Each half of a byte in a byte of its own.
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Where it is 10 or more, adding 6 carries.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn it_is_the_pieces_in_a_row(pieces in proptest::collection::vec("[aé🪣]{0,12}|.{0,50}", 0..10), room in 0..100_usize) {
            let mut composed = Composed::with_room(room);
            let row = pieces.concat();
            for _ in 0..2 {
                composed.clear();
                composed.push(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
                proptest::prop_assert_eq!(composed.as_bytes(), row.as_bytes());
            }
            proptest::prop_assert_eq!(composed.into_string(), row);
        }

        #[test]
        fn hex_is_as_formatted(bytes: Vec<u8>) {
            let formatted: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            proptest::prop_assert_eq!(hex(&bytes), formatted);
        }
    }
}
