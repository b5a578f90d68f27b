//! Buffers on the device: made with a word on what for, filled, and read back.

use std::ops::Range;

use bytemuck::{AnyBitPattern, NoUninit};

use super::device::{Gpu, describe};
use super::{Error, Result};

/// Every length is rounded up to this many bytes, so that a shader may see any buffer as `vec4<f32>`s to its end.
pub(crate) const GRAIN: u64 = 16;

/// Bytes of one transfer. Large enough to run at full speed, small enough that staging memory stays a footnote.
const PIECE: usize = 32 << 20;

/// A storage buffer of at least `bytes` bytes, zeroed, that can be copied from and to. `what` is what it is for.
///
/// # Errors
/// [`Error::TooLarge`] above [`Gpu::max_buffer_bytes`], [`Error::OutOfMemory`] when the device has no room.
pub(crate) fn storage(gpu: &Gpu, what: &str, bytes: u64) -> Result<wgpu::Buffer> {
    use wgpu::BufferUsages as Usage;
    create(gpu, what, bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
}

/// A [`storage`] buffer that holds `data`.
///
/// # Errors
/// As [`storage`] and [`upload`].
pub(crate) fn storage_of<T: NoUninit>(gpu: &Gpu, what: &str, data: &[T]) -> Result<wgpu::Buffer> {
    let buffer = storage(gpu, what, size_of_val(data) as u64)?;
    upload(gpu, &buffer, 0, data)?;
    Ok(buffer)
}

/// A uniform buffer of at least `bytes` bytes that can be copied to.
///
/// # Errors
/// As [`storage`].
pub(crate) fn uniform(gpu: &Gpu, what: &str, bytes: u64) -> Result<wgpu::Buffer> {
    create(gpu, what, bytes, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)
}

/// A buffer of any usage, its length rounded up to a multiple of [`GRAIN`] and never zero.
///
/// # Errors
/// As [`storage`]; [`Error::Device`] when the usages do not go together.
pub(crate) fn create(gpu: &Gpu, what: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
    let adapter = || gpu.name().to_owned();
    let limit = gpu.max_buffer_bytes();
    let size = bytes.max(1).checked_next_multiple_of(GRAIN).filter(|&size| size <= limit);
    let Some(size) = size else {
        return Err(Error::TooLarge { adapter: adapter(), what: what.to_owned(), bytes, limit });
    };
    let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
    let (buffer, error) = gpu.catching(|| gpu.device.create_buffer(&descriptor));
    match error {
        None => Ok(buffer),
        Some(wgpu::Error::OutOfMemory { .. }) => {
            Err(Error::OutOfMemory { adapter: adapter(), what: what.to_owned(), bytes })
        }
        Some(error) => Err(Error::Device { adapter: adapter(), reason: format!("{what}: {}", describe(&error)) }),
    }
}

/// Copies `data` to a buffer from byte `offset`, a multiple of 4, on; any length goes, in pieces. Bytes between the
/// end of the data and the next multiple of 4 become zero. Later submissions see the data. The host may run ahead of
/// the device by two pieces and no more.
///
/// # Errors
/// [`Error::Range`] and [`Error::Alignment`]; what [`Gpu::check`] returns.
pub(crate) fn upload<T: NoUninit>(gpu: &Gpu, buffer: &wgpu::Buffer, offset: u64, data: &[T]) -> Result<()> {
    let bytes: &[u8] = bytemuck::cast_slice(data);
    inside(buffer, offset, bytes.len() as u64)?;
    let mut earlier = None;
    for (place, piece) in bytes.chunks(PIECE).enumerate() {
        let start = offset + (place * PIECE) as u64;
        let whole = piece.len() / 4 * 4;
        gpu.queue.write_buffer(buffer, start, &piece[..whole]);
        if whole < piece.len() {
            let mut word = [0; 4];
            word[..piece.len() - whole].copy_from_slice(&piece[whole..]);
            gpu.queue.write_buffer(buffer, start + whole as u64, &word);
        }
        if bytes.len() > PIECE {
            // wgpu keeps what is written in staging buffers until a submission that it knows to be done.
            let submitted = gpu.queue.submit([]);
            if let Some(earlier) = earlier.replace(submitted) {
                gpu.wait_for(earlier)?;
            }
        }
    }
    gpu.check()
}

/// Reads a range of a buffer back, waiting for all submitted work first. The range is in bytes and may start anywhere.
///
/// # Errors
/// [`Error::Range`]; what [`Gpu::check`] returns.
pub(crate) fn download(gpu: &Gpu, buffer: &wgpu::Buffer, range: Range<u64>) -> Result<Vec<u8>> {
    let length = range.end.saturating_sub(range.start);
    let end = range.start.saturating_add(length);
    if end > buffer.size() {
        return Err(out_of_range(range.start, end, buffer.size()));
    }
    if length == 0 {
        return Ok(Vec::new());
    }
    // Copies start and end at multiples of 4; our buffers end there too.
    let first = range.start / 4 * 4;
    let last = end.next_multiple_of(4).min(buffer.size());
    let size = (last - first).min(PIECE as u64);
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
    let staging = create(gpu, "staging for a download", size, usage)?;

    let mut bytes = Vec::with_capacity((last - first) as usize);
    let mut at = first;
    while at < last {
        let size = (last - at).min(PIECE as u64);
        let mut encoder = gpu.encoder("download");
        encoder.copy_buffer_to_buffer(buffer, at, &staging, 0, Some(size));
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, ..size, |_| {});
        gpu.submit(encoder);
        gpu.wait()?;
        let view = staging.get_mapped_range(..size).map_err(|error| not_mapped(gpu, &error))?;
        bytes.extend_from_slice(&view);
        drop(view);
        staging.unmap();
        at += size;
    }
    bytes.drain(..(range.start - first) as usize);
    bytes.truncate(length as usize);
    Ok(bytes)
}

/// As [`download`], of `count` values from byte `offset` on.
///
/// # Errors
/// As [`download`].
pub(crate) fn download_as<T: AnyBitPattern + NoUninit>(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    offset: u64,
    count: usize,
) -> Result<Vec<T>> {
    let length = (count as u64).saturating_mul(size_of::<T>() as u64);
    let bytes = download(gpu, buffer, offset..offset.saturating_add(length))?;
    // A copy: the bytes need not lie where a T may.
    Ok(bytemuck::pod_collect_to_vec(&bytes))
}

/// Checks that a write of `length` bytes from `offset` on, rounded up to whole words, lies in a buffer.
pub(super) fn inside(buffer: &wgpu::Buffer, offset: u64, length: u64) -> Result<()> {
    let end = offset.saturating_add(length);
    if end.checked_next_multiple_of(4).is_none_or(|end| end > buffer.size()) {
        return Err(out_of_range(offset, end, buffer.size()));
    }
    if !offset.is_multiple_of(4) {
        return Err(Error::Alignment { what: "a buffer".to_owned(), offset });
    }
    Ok(())
}

fn out_of_range(start: u64, end: u64, bytes: u64) -> Error {
    Error::Range { what: "a buffer".to_owned(), start, end, bytes }
}

pub(super) fn not_mapped(gpu: &Gpu, error: &wgpu::MapRangeError) -> Error {
    Error::Device { adapter: gpu.name().to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    #[test]
    fn lengths_are_rounded_up_and_never_zero() {
        let Some(gpu) = testing::software() else {
            return;
        };
        for (asked, given) in [(0, 16), (1, 16), (16, 16), (20, 32)] {
            assert_eq!(storage(&gpu, "test", asked).unwrap().size(), given);
        }
        let empty = storage_of::<f32>(&gpu, "nothing", &[]).unwrap();
        assert!(download(&gpu, &empty, 0..0).unwrap().is_empty());
    }

    #[test]
    fn what_goes_up_comes_down() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let bytes: Vec<u8> = (0..255).collect();
        let buffer = storage_of(&gpu, "bytes", &bytes).unwrap();
        assert_eq!(download(&gpu, &buffer, 0..255).unwrap(), bytes);
        assert_eq!(download(&gpu, &buffer, 3..9).unwrap(), bytes[3..9]);
        upload(&gpu, &buffer, 8, &[7.5f32, -1.0]).unwrap();
        assert_eq!(download_as::<f32>(&gpu, &buffer, 8, 2).unwrap(), [7.5, -1.0]);
        assert_eq!(download(&gpu, &buffer, 16..20).unwrap(), bytes[16..20]);
    }

    #[test]
    fn large_data_goes_in_pieces() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let words: Vec<u32> = (0..(PIECE * 2 + 4096) as u32 / 4).map(|n| n.wrapping_mul(2_654_435_761)).collect();
        let buffer = storage_of(&gpu, "words", &words).unwrap();
        assert!(download_as::<u32>(&gpu, &buffer, 0, words.len()).unwrap() == words);
    }

    #[test]
    fn ranges_outside_are_errors() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let buffer = storage(&gpu, "small", 16).unwrap();
        assert!(matches!(download(&gpu, &buffer, 8..20), Err(Error::Range { .. })));
        assert!(matches!(download(&gpu, &buffer, u64::MAX - 1..u64::MAX), Err(Error::Range { .. })));
        assert!(matches!(upload(&gpu, &buffer, 16, &[1u32]), Err(Error::Range { .. })));
        assert!(matches!(upload(&gpu, &buffer, u64::MAX, &[1u32]), Err(Error::Range { .. })));
        assert!(matches!(upload(&gpu, &buffer, 2, &[1u32]), Err(Error::Alignment { .. })));
        gpu.check().unwrap();
    }

    #[test]
    fn too_large_a_buffer_says_for_what() {
        let Some(gpu) = testing::software() else {
            return;
        };
        for bytes in [gpu.max_buffer_bytes() + 1, u64::MAX] {
            let error = storage(&gpu, "table `item`", bytes).unwrap_err();
            assert!(matches!(&error, Error::TooLarge { what, .. } if what == "table `item`"), "{error}");
        }
        gpu.check().unwrap();
    }
}
