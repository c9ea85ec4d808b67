//! Checksums of rows that nothing else in the store would contradict.
//!
//! # Format
//! The column `checksum` is CRC-32C over the other columns in the order of the table: for each a
//! byte (0 NULL, 1 integer, 2 text or bytes) and the integer (8 bytes, little-endian), or the
//! length (8 bytes) and the bytes. NULL in rows that format 1 wrote.

use rusqlite::{Row, types::ValueRef};

use super::fault::{Fault, malformed};

/// The checksum of a row with these values.
pub(super) fn sum(values: &[ValueRef<'_>]) -> Result<u32, Fault> {
    values.iter().try_fold(0, |sum, value| {
        Ok(match value {
            ValueRef::Null => crc32c::crc32c_append(sum, &[0]),
            ValueRef::Integer(number) => {
                crc32c::crc32c_append(crc32c::crc32c_append(sum, &[1]), &number.to_le_bytes())
            }
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                let sum = crc32c::crc32c_append(sum, &[2]);
                let sum = crc32c::crc32c_append(sum, &(bytes.len() as u64).to_le_bytes());
                crc32c::crc32c_append(sum, bytes)
            }
            ValueRef::Real(_) => return Err(malformed("a fraction")),
        })
    })
}

/// Whether the first `width` columns of a row fit the checksum that comes after them.
pub(super) fn fits(row: &Row<'_>, width: usize) -> Result<bool, Fault> {
    let values = (0..width).map(|at| row.get_ref(at));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let kept: Option<i64> = row.get(width)?;
    Ok(match kept {
        Some(kept) => i64::from(sum(&values)?) == kept,
        None => true,
    })
}

/// Refuses a row that does not fit.
pub(super) fn check(row: &Row<'_>, width: usize, what: &str) -> Result<(), Fault> {
    match fits(row, width)? {
        true => Ok(()),
        false => Err(malformed(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_run_into_each_other() {
        let sums = [
            vec![ValueRef::Text(b"ab"), ValueRef::Text(b"c")],
            vec![ValueRef::Text(b"a"), ValueRef::Text(b"bc")],
            vec![ValueRef::Text(b"abc"), ValueRef::Null],
            vec![ValueRef::Integer(1), ValueRef::Integer(0)],
            vec![ValueRef::Integer(0), ValueRef::Integer(1)],
        ]
        .map(|values| sum(&values).ok());
        for (at, one) in sums.iter().enumerate() {
            assert!(one.is_some() && !sums[..at].contains(one), "{at}");
        }
    }

    #[test]
    fn what_was_written_is_read_for_ever() {
        let values = [
            ValueRef::Text(b"photos"),
            ValueRef::Integer(7),
            ValueRef::Blob(&[1, 2]),
            ValueRef::Null,
        ];
        assert_eq!(sum(&values).ok(), Some(WRITTEN));
    }

    const WRITTEN: u32 = 1_462_845_571;
}
