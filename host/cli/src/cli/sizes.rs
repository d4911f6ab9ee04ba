//! Part sizes of uploads.

use clap::Args;
use sandbucket::Upload;

/// Options of uploads.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct PartSizes {
    /// Part size of an upload in bytes, such as 64MiB; S3 accepts 5MiB to 5GiB [default: 8MiB]
    ///
    /// A body larger than a part is sent in parts, of which S3 accepts 10,000. The first 5,000 have this size; then the
    /// size doubles every 500 parts, so that a pipe can have 6.4 TiB. Memory: five parts per file in transfer; 1 GiB for a
    /// file with more than 5,000 parts, and from 530 GiB on about 1/400 of the bytes sent.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub part_size: Option<u64>,
    /// Approximate length of a body whose length is unknown.
    #[arg(skip)]
    expected_size: Option<u64>,
}

impl PartSizes {
    /// For a body of about this length.
    pub fn expecting(self, expected_size: Option<u64>) -> Self {
        PartSizes { expected_size, ..self }
    }

    /// Applies the options to the upload of a body of this length, if known.
    pub fn apply(self, upload: Upload, length: Option<u64>) -> Upload {
        let upload = match self.part_size {
            Some(size) => upload.part_size(usize::try_from(size).unwrap_or(usize::MAX)),
            None => upload,
        };
        match length.or(self.expected_size) {
            Some(length) => upload.length_hint(length),
            None => upload,
        }
    }
}

/// Parses a number of bytes, KiB, MiB, GiB or TiB.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "must be a number of bytes, or one with a unit: 512KiB, 64MiB, 5GiB or 1TiB".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(1 << scale) {
        Some(0) | None => Err(wrong()),
        Some(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_with_binary_units() {
        for (text, bytes) in
            [("1", 1), ("5B", 5), ("16KiB", 16 << 10), ("8MiB", 8 << 20), ("5GiB", 5 << 30), ("6TiB", 6 << 40)]
        {
            assert_eq!(size(text), Ok(bytes));
        }
        for wrong in ["", "0", "-1", "+1", "1.5GiB", "8MB", "8M", "MiB", "é", "99999999999999999999", "99999999999TiB"]
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
