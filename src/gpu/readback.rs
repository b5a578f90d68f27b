//! Small results read back while later steps run: losses, counters, metrics.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::buffer::{self, not_mapped};
use super::device::Gpu;
use super::{Error, Result};

/// The mapping of a staging buffer, set by wgpu's callback.
pub(super) mod mapping {
    pub(in crate::gpu) const PENDING: u8 = 0;
    pub(in crate::gpu) const MAPPED: u8 = 1;
    pub(in crate::gpu) const FAILED: u8 = 2;
}

/// One result: the bytes that were copied, and the tag they were recorded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What the caller gave, a step's number say.
    pub(crate) tag: u64,
    /// The bytes of all recorded ranges, one after the other.
    pub(crate) bytes: Vec<u8>,
}

/// A ring of staging buffers. Copies are recorded in a step's encoder; results come out in the order of recording,
/// when they are there, and nothing waits for them.
#[derive(Debug)]
pub(crate) struct Readback {
    what: String,
    bytes: u64,
    free: Vec<wgpu::Buffer>,
    flying: VecDeque<Flight>,
}

#[derive(Debug)]
struct Flight {
    buffer: wgpu::Buffer,
    tag: u64,
    bytes: u64,
    state: Arc<AtomicU8>,
}

impl Readback {
    /// A ring of `slots` staging buffers for results of at most `bytes` bytes. It grows when more are under way.
    ///
    /// # Errors
    /// As [`buffer::create`].
    pub(crate) fn new(gpu: &Gpu, what: &str, bytes: u64, slots: usize) -> Result<Self> {
        let mut ring = Self { what: what.to_owned(), bytes, free: Vec::new(), flying: VecDeque::new() };
        for _ in 0..slots {
            let slot = ring.slot(gpu)?;
            ring.free.push(slot);
        }
        Ok(ring)
    }

    fn slot(&self, gpu: &Gpu) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        buffer::create(gpu, &self.what, self.bytes, usage)
    }

    /// How many results are under way.
    #[cfg(test)]
    fn in_flight(&self) -> usize {
        self.flying.len()
    }

    /// Records a copy of some ranges of buffers, to be mapped when the encoder is submitted. Starts and lengths are
    /// multiples of 4.
    ///
    /// # Errors
    /// [`Error::Range`] and [`Error::Alignment`]; what [`buffer::create`] returns when the ring must grow.
    pub(crate) fn record(
        &mut self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        tag: u64,
        ranges: &[(&wgpu::Buffer, Range<u64>)],
    ) -> Result<()> {
        let mut total: u64 = 0;
        for (source, range) in ranges {
            let length = range.end.saturating_sub(range.start);
            buffer::inside(source, range.start, length)?;
            if !length.is_multiple_of(4) {
                return Err(Error::Alignment { what: self.what.clone(), offset: range.end });
            }
            total = total.saturating_add(length);
        }
        if total > self.bytes {
            return Err(Error::Range { what: self.what.clone(), start: 0, end: total, bytes: self.bytes });
        }
        let staging = match self.free.pop() {
            Some(free) => free,
            None => self.slot(gpu)?,
        };
        let mut at = 0;
        for (source, range) in ranges.iter().filter(|(_, range)| range.start < range.end) {
            let length = range.end - range.start;
            encoder.copy_buffer_to_buffer(source, range.start, &staging, at, Some(length));
            at += length;
        }
        let state = Arc::new(AtomicU8::new(mapping::PENDING));
        let told = Arc::clone(&state);
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., move |result| {
            told.store(if result.is_ok() { mapping::MAPPED } else { mapping::FAILED }, Ordering::Release);
        });
        self.flying.push_back(Flight { buffer: staging, tag, bytes: total, state });
        Ok(())
    }

    /// The results that are there, in the order of recording. Does not wait.
    ///
    /// # Errors
    /// What [`Gpu::check`] returns.
    pub(crate) fn poll(&mut self, gpu: &Gpu) -> Result<Vec<Reading>> {
        gpu.poll()?;
        self.collect(gpu)
    }

    /// All results, waiting for the device.
    ///
    /// # Errors
    /// What [`Gpu::check`] returns; [`Error::Unsubmitted`] when an encoder with a recorded copy was not submitted, in
    /// which case what is there stays for [`poll`](Self::poll).
    pub(crate) fn wait(&mut self, gpu: &Gpu) -> Result<Vec<Reading>> {
        gpu.wait()?;
        // Another thread that waits for the same device may have taken our callbacks and not yet run them.
        let mut patience = std::iter::repeat_n(Duration::from_millis(1), 1000);
        while self.flying.iter().any(|flight| flight.state.load(Ordering::Acquire) == mapping::PENDING) {
            let Some(pause) = patience.next() else { return Err(Error::Unsubmitted { what: self.what.clone() }) };
            std::thread::sleep(pause);
            gpu.poll()?;
        }
        self.collect(gpu)
    }

    fn collect(&mut self, gpu: &Gpu) -> Result<Vec<Reading>> {
        let mut readings = Vec::new();
        while let Some(flight) = self.flying.front() {
            match flight.state.load(Ordering::Acquire) {
                mapping::PENDING => break,
                mapping::MAPPED => {}
                _ => {
                    let reason = format!("{} could not be mapped", self.what);
                    return Err(Error::Device { adapter: gpu.name().to_owned(), reason });
                }
            }
            let bytes = if flight.bytes == 0 {
                Vec::new()
            } else {
                let view = flight.buffer.get_mapped_range(..flight.bytes).map_err(|error| not_mapped(gpu, &error))?;
                view.to_vec()
            };
            flight.buffer.unmap();
            readings.push(Reading { tag: flight.tag, bytes });
            if let Some(flight) = self.flying.pop_front() {
                self.free.push(flight.buffer);
            }
        }
        Ok(readings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    fn word(value: u32) -> Vec<u8> {
        value.to_le_bytes().to_vec()
    }

    #[test]
    fn results_come_in_order_and_the_ring_grows() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let source = buffer::storage(&gpu, "loss", 8).unwrap();
        let mut ring = Readback::new(&gpu, "losses", 8, 2).unwrap();
        let mut seen = Vec::new();
        for step in 0..10u64 {
            buffer::upload(&gpu, &source, 0, &[step as u32, 100 + step as u32]).unwrap();
            let mut encoder = gpu.encoder("step");
            // The second half before the first: order within a result is the caller's.
            ring.record(&gpu, &mut encoder, step, &[(&source, 4..8), (&source, 0..4)]).unwrap();
            gpu.submit(encoder);
            if step % 4 == 3 {
                seen.extend(ring.poll(&gpu).unwrap());
            }
        }
        seen.extend(ring.wait(&gpu).unwrap());
        assert_eq!(ring.in_flight(), 0);
        let wanted: Vec<_> = (0..10u64)
            .map(|step| Reading { tag: step, bytes: [word(100 + step as u32), word(step as u32)].concat() })
            .collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn results_that_cannot_come_are_errors() {
        let Some(gpu) = testing::software() else {
            return;
        };
        let source = buffer::storage(&gpu, "loss", 16).unwrap();
        let mut ring = Readback::new(&gpu, "losses", 8, 1).unwrap();
        let mut encoder = gpu.encoder("step");
        let mut record = |range| ring.record(&gpu, &mut encoder, 0, &[(&source, range)]);
        assert!(matches!(record(0..16), Err(Error::Range { .. })));
        assert!(matches!(record(16..20), Err(Error::Range { .. })));
        assert!(matches!(record(2..6), Err(Error::Alignment { .. })));
        assert!(matches!(record(4..6), Err(Error::Alignment { .. })));
        record(0..4).unwrap();
        let text = ring.wait(&gpu).unwrap_err().to_string();
        assert!(text.contains("losses") && text.contains("never submitted"), "{text}");
        gpu.submit(encoder);
        assert_eq!(ring.wait(&gpu).unwrap(), [Reading { tag: 0, bytes: word(0) }]);
    }
}
