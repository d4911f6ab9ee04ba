//! Checks of the arguments of lists, before a request is sent.

use crate::contract::error::{Error, Failure};

/// Checks the maximum number of entries of a page: 1 to `max`, or none for the service's own.
///
/// # Errors
/// A fault of `page-size`.
pub fn check_page_size(size: Option<u32>, max: u32) -> Result<(), Failure> {
    match size {
        Some(size) if !(1..=max).contains(&size) => {
            Err(Error::fault("page-size", format!("a page holds 1 to {max}, not {size}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_size_is_limited() {
        for valid in [None, Some(1), Some(1000)] {
            assert_eq!(check_page_size(valid, 1000), Ok(()));
        }
        for wrong in [0, 1001] {
            assert_eq!(check_page_size(Some(wrong), 1000).unwrap_err().subject.as_deref(), Some("page-size"));
        }
    }
}
