//! The records of an event file: a length, its checksum, the bytes, their checksum.

use std::io::{self, Write};

/// Writes one record.
pub(super) fn write(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(bytes);
    record.extend_from_slice(&masked_crc(bytes).to_le_bytes());
    // All at once: a reader that follows the file sees a whole record or none.
    file.write_all(&record)
}

/// A CRC-32C that can be stored beside what it checks: one of bytes which hold their own CRC would say little, so it is
/// rotated by 15 bits and a constant is added.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of a whole file.
#[cfg(test)]
pub(super) fn read(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at(8);
        let (length_crc, rest) = rest.split_at(4);
        assert_eq!(length_crc, masked_crc(length).to_le_bytes(), "the checksum of a length");
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        let (record, rest) = rest.split_at(length as usize);
        let (crc, rest) = rest.split_at(4);
        assert_eq!(crc, masked_crc(record).to_le_bytes(), "the checksum of a record");
        records.push(record);
        bytes = rest;
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, crc) in [
            (&[0u8; 32][..], 0x8a91_36aa_u32),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
        ] {
            assert_eq!(crc32c::crc32c(bytes), crc);
            let unmasked = masked_crc(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
            assert_eq!(unmasked, crc, "masking loses nothing");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut file = Vec::new();
        for record in [&b"one"[..], b"", &[7; 300]] {
            write(&mut file, record).expect("memory takes it");
        }
        assert_eq!(read(&file), [&b"one"[..], b"", &[7; 300]]);
        // An empty record: eight zeros, their checksum, no bytes, the checksum of none.
        let empty = [0, 0, 0, 0, 0, 0, 0, 0, 0x29, 0x03, 0x98, 0x07, 0xd8, 0xea, 0x82, 0xa2];
        assert_eq!(file[19..35], empty);
    }
}
