//! Checks of the arguments of multipart uploads, before a request is sent. The number of parts that a service takes differs.

use crate::contract::error::{Error, Failure};
use crate::contract::model::{Part, WriteCondition};

/// Checks that an upload begins without a condition: its completion is the write.
///
/// # Errors
/// A fault of `condition`.
pub fn check_create(condition: &WriteCondition) -> Result<(), Failure> {
    if *condition != WriteCondition::Always {
        return Err(Error::fault("condition", "an upload begins without a condition: completing it accepts one"));
    }
    Ok(())
}

/// Checks the number of a part: 1 to `max`.
///
/// # Errors
/// A fault of `number`.
pub fn check_part_number(number: u32, max: u32) -> Result<(), Failure> {
    if !(1..=max).contains(&number) {
        return Err(Error::fault("number", format!("a part's number is from 1 to {max}, not {number}")));
    }
    Ok(())
}

/// Checks the parts of a completion: at least one, with growing numbers from 1 to `max`.
///
/// # Errors
/// A fault of `parts`.
pub fn check_parts(parts: &[Part], max: u32) -> Result<(), Failure> {
    if parts.is_empty() {
        return Err(Error::fault("parts", "an upload is completed with 1 part at least; upload an empty one"));
    }
    let mut last = 0;
    for Part { number, .. } in parts {
        if *number <= last || *number > max {
            let why = format!("part {number} after part {last}: numbers are from 1 to {max} and grow");
            return Err(Error::fault("parts", why));
        }
        last = *number;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_need_growing_numbers_up_to_the_maximum() {
        let check = |numbers: &[u32]| {
            let parts: Vec<Part> = numbers.iter().map(|number| Part { number: *number, ..Part::default() }).collect();
            check_parts(&parts, 9)
        };
        assert_eq!(check(&[1, 2, 9]), Ok(()));
        for wrong in [&[][..], &[0], &[1, 1], &[2, 1], &[10]] {
            assert_eq!(check(wrong).unwrap_err().subject.as_deref(), Some("parts"), "{wrong:?}");
        }
    }

    #[test]
    fn part_number_is_limited_and_creation_unconditional() {
        assert!(check_part_number(1, 9).is_ok() && check_part_number(9, 9).is_ok());
        for wrong in [0, 10] {
            assert_eq!(check_part_number(wrong, 9).unwrap_err().subject.as_deref(), Some("number"));
        }
        assert!(check_create(&WriteCondition::Always).is_ok());
        assert_eq!(check_create(&WriteCondition::IfAbsent).unwrap_err().subject.as_deref(), Some("condition"));
    }
}
