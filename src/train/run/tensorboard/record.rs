//! The records that TensorBoard's event files are made of: a length, its checksum, the bytes, their checksum.
//!
//! Lengths are 8 bytes, checksums 4, all little-endian. A checksum is CRC-32C, rotated and shifted by a constant, so that
//! a checksum of bytes that hold checksums is no special case.

use crc32c::crc32c;

const MASK: u32 = 0xa282_ead8;
/// Bytes before the content: its length, and that length's checksum.
const HEAD: usize = 12;

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

/// Appends `content` to `out` as one record.
pub(crate) fn write(content: &[u8], out: &mut Vec<u8>) {
    let length = (content.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked(&length).to_le_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(&masked(content).to_le_bytes());
}

/// The contents of the records in `bytes`, up to the first that is cut off or damaged.
pub(crate) fn read(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (content, after) = next(rest)?;
        rest = after;
        Some(content)
    })
}

fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.first_chunk::<8>()?;
    let sound = |content: &[u8], checksum: &[u8]| checksum == masked(content).to_le_bytes();
    if !sound(length, bytes.get(8..HEAD)?) {
        return None;
    }
    let end = HEAD.checked_add(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let content = bytes.get(HEAD..end)?;
    let after = end.checked_add(4)?;
    sound(content, bytes.get(end..after)?).then(|| (content, &bytes[after..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_tensorboard() {
        // The first record that TensorFlow writes to any event file holds "brain.Event:2" at wall time 0.
        let content = b"\x09\0\0\0\0\0\0\0\0\x1a\x0dbrain.Event:2";
        let mut bytes = Vec::new();
        write(content, &mut bytes);
        assert_eq!(bytes.len(), HEAD + content.len() + 4);
        // CRC-32C of 32 zero bytes (RFC 3720, B.4) is 8a9136aa; rotated by 15 bits it is 6d55_1522.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
        assert_eq!(read(&bytes).collect::<Vec<_>>(), [content]);
    }

    #[test]
    fn reading_ends_at_what_is_cut_off_or_damaged() {
        let mut bytes = Vec::new();
        write(b"one", &mut bytes);
        let first = bytes.len();
        write(b"two", &mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]).count(), usize::from(length >= first), "of {length} bytes");
        }
        for place in first..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(read(&damaged).collect::<Vec<_>>(), [b"one"], "byte {place}");
        }
    }
}
