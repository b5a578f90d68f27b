//! Batches sent to the device while it computes earlier ones.
//!
//! wgpu's own `StagingBelt` makes another buffer whenever none is free, so a host that runs ahead would fill the
//! memory; here it waits for the oldest upload, which also keeps it a fixed number of batches ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::buffer::{self, not_mapped};
use super::device::Gpu;
use super::readback::mapping;
use super::{Error, Result};

/// Bytes for a place in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    /// What to write; a tail shorter than a word is filled up with zeros.
    pub(crate) bytes: &'a [u8],
    /// Where to, a buffer with `COPY_DST`.
    pub(crate) target: &'a wgpu::Buffer,
    /// From which byte on, a multiple of 4.
    pub(crate) offset: u64,
}

/// A ring of staging buffers that the host writes in turn.
#[derive(Debug)]
pub(crate) struct Upload {
    what: String,
    bytes: u64,
    slots: Vec<Slot>,
    next: usize,
}

#[derive(Debug)]
struct Slot {
    buffer: wgpu::Buffer,
    state: Arc<AtomicU8>,
    submission: Option<wgpu::SubmissionIndex>,
    recorded: bool,
}

impl Upload {
    /// A ring of `slots` staging buffers, three as a rule, for uploads of at most `bytes` bytes each.
    ///
    /// # Errors
    /// As [`buffer::create`].
    pub(crate) fn new(gpu: &Gpu, what: &str, bytes: u64, slots: usize) -> Result<Self> {
        let slots = (0..slots.max(1))
            .map(|_| {
                let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::MAP_WRITE;
                let buffer = buffer::create(gpu, what, bytes, usage)?;
                let state = Arc::new(AtomicU8::new(mapping::PENDING));
                let told = Arc::clone(&state);
                buffer.map_async(wgpu::MapMode::Write, .., told_by(told));
                Ok(Slot { buffer, state, submission: None, recorded: false })
            })
            .collect::<Result<Vec<_>>>()?;
        gpu.poll()?;
        Ok(Self { what: what.to_owned(), bytes, slots, next: 0 })
    }

    /// Writes the pieces to the next staging buffer and records their copies at the encoder's present place. Waits
    /// only while that staging buffer's last upload is under way. Tell [`submitted`](Self::submitted) once the encoder is.
    ///
    /// # Errors
    /// [`Error::Range`] and [`Error::Alignment`]; [`Error::Unsubmitted`] when as many uploads as there are slots are
    /// recorded and not submitted; what [`Gpu::check`] returns.
    pub(crate) fn stage(&mut self, gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, pieces: &[Piece<'_>]) -> Result<()> {
        let mut total: u64 = 0;
        for piece in pieces {
            buffer::inside(piece.target, piece.offset, piece.bytes.len() as u64)?;
            total = total.saturating_add(padded(piece.bytes.len()));
        }
        if total > self.bytes.next_multiple_of(buffer::GRAIN) {
            return Err(Error::Range { what: self.what.clone(), start: 0, end: total, bytes: self.bytes });
        }
        let slot = &mut self.slots[self.next];
        slot.ready(gpu, &self.what)?;
        if total > 0 {
            let mut view = slot.buffer.get_mapped_range_mut(..total).map_err(|error| not_mapped(gpu, &error))?;
            let mut at = 0;
            for piece in pieces {
                let end = at + piece.bytes.len();
                view.slice(at..end).copy_from_slice(piece.bytes);
                at += padded(piece.bytes.len()) as usize;
                view.slice(end..at).fill(0);
            }
        }
        slot.buffer.unmap();
        slot.state.store(mapping::PENDING, Ordering::Release);
        slot.recorded = true;
        slot.submission = None;
        let mut at = 0;
        for piece in pieces.iter().filter(|piece| !piece.bytes.is_empty()) {
            let length = padded(piece.bytes.len());
            encoder.copy_buffer_to_buffer(&slot.buffer, at, piece.target, piece.offset, Some(length));
            at += length;
        }
        // Mapped again as soon as the copies are done.
        encoder.map_buffer_on_submit(&slot.buffer, wgpu::MapMode::Write, .., told_by(Arc::clone(&slot.state)));
        self.next = (self.next + 1) % self.slots.len();
        Ok(())
    }

    /// Says which submission took the uploads staged since the last call, so that waiting for one of them does not
    /// wait for later work too. Without it uploads are right but the device may run dry.
    pub(crate) fn submitted(&mut self, submission: &wgpu::SubmissionIndex) {
        for slot in self.slots.iter_mut().filter(|slot| slot.recorded) {
            slot.recorded = false;
            slot.submission = Some(submission.clone());
        }
    }
}

impl Slot {
    /// Waits until the buffer is mapped.
    fn ready(&mut self, gpu: &Gpu, what: &str) -> Result<()> {
        let pending = |slot: &Self| slot.state.load(Ordering::Acquire) == mapping::PENDING;
        if pending(self) {
            gpu.poll()?;
        }
        if pending(self) {
            match self.submission.take() {
                Some(submission) => gpu.wait_for(submission)?,
                None => gpu.wait()?,
            }
        }
        match self.state.load(Ordering::Acquire) {
            mapping::MAPPED => Ok(()),
            mapping::PENDING => Err(Error::Unsubmitted { what: what.to_owned() }),
            _ => Err(Error::Device { adapter: gpu.name().to_owned(), reason: format!("{what} could not be mapped") }),
        }
    }
}

fn told_by(state: Arc<AtomicU8>) -> impl FnOnce(Result<(), wgpu::BufferAsyncError>) + Send + 'static {
    move |result| state.store(if result.is_ok() { mapping::MAPPED } else { mapping::FAILED }, Ordering::Release)
}

fn padded(length: usize) -> u64 {
    (length as u64).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    #[test]
    fn uploads_arrive_each_in_its_step() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let (ids, labels) = (buffer::storage(&gpu, "ids", 16).unwrap(), buffer::storage(&gpu, "labels", 16).unwrap());
        // A history that every step's batch is copied to, so that a late or early upload would show.
        let history = buffer::storage(&gpu, "history", 20 * 32).unwrap();
        let mut ring = Upload::new(&gpu, "batches", 23, 3).unwrap();
        let mut wanted = Vec::new();
        for step in 0..20u8 {
            let (batch, label) = ([step; 16], [step, 1, 2]);
            let mut encoder = gpu.encoder("step");
            let pieces =
                [Piece { bytes: &label, target: &labels, offset: 4 }, Piece { bytes: &batch, target: &ids, offset: 0 }];
            ring.stage(&gpu, &mut encoder, &pieces).unwrap();
            let at = u64::from(step) * 32;
            encoder.copy_buffer_to_buffer(&ids, 0, &history, at, 16);
            encoder.copy_buffer_to_buffer(&labels, 0, &history, at + 16, 16);
            let submission = gpu.submit(encoder);
            // Both ways are right.
            if step > 10 {
                ring.submitted(&submission);
            }
            wanted.extend(batch);
            wanted.extend([0, 0, 0, 0, step, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        assert_eq!(buffer::download(&gpu, &history, 0..20 * 32).unwrap(), wanted);
    }

    #[test]
    fn a_ring_outrun_in_one_encoder_says_so() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let target = buffer::storage(&gpu, "ids", 16).unwrap();
        let mut ring = Upload::new(&gpu, "batches", 16, 2).unwrap();
        let mut encoder = gpu.encoder("steps");
        let mut stage =
            |bytes: &[u8], offset| ring.stage(&gpu, &mut encoder, &[Piece { bytes, target: &target, offset }]);
        assert!(matches!(stage(&[0; 20], 0), Err(Error::Range { .. })));
        assert!(matches!(stage(&[0; 4], 16), Err(Error::Range { .. })));
        assert!(matches!(stage(&[0; 4], 2), Err(Error::Alignment { .. })));
        stage(&[1; 4], 0).unwrap();
        stage(&[2; 4], 4).unwrap();
        assert!(matches!(stage(&[3; 4], 8), Err(Error::Unsubmitted { .. })));
        let submission = gpu.submit(encoder);
        ring.submitted(&submission);
        let mut encoder = gpu.encoder("next");
        ring.stage(&gpu, &mut encoder, &[Piece { bytes: &[3; 4], target: &target, offset: 8 }]).unwrap();
        gpu.submit(encoder);
        let bytes = buffer::download(&gpu, &target, 0..12).unwrap();
        assert_eq!(bytes, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
    }
}
