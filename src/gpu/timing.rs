//! How long passes take on the device, one pass per dispatch. Passes do not overlap then, so a profile's sum is more
//! than a step takes.

use std::time::Duration;

use super::buffer;
use super::device::{Gpu, describe};
use super::{Error, Result};

const QUERY_BYTES: u64 = wgpu::QUERY_SIZE as u64;
const QUERIES: u32 = wgpu::QUERY_SET_MAX_QUERIES;

/// Begin and end times of passes.
#[derive(Debug)]
pub(crate) struct Timer {
    // A set holds a limited number of queries, and Metal a limited number of sets, so each is filled.
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    passes: u32,
    written: u32,
}

impl Timer {
    /// A timer for at most `passes` passes; none where the device cannot tell times, or was opened without
    /// [`timestamps`](super::OpenOptions::timestamps).
    ///
    /// # Errors
    /// As [`buffer::create`].
    pub(crate) fn new(gpu: &Gpu, passes: u32) -> Result<Option<Self>> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let passes = passes.max(1);
        let queries = passes.saturating_mul(2);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = buffer::create(gpu, "times of passes", u64::from(queries) * QUERY_BYTES, usage)?;
        let (sets, error) = gpu.catching(|| {
            (0..queries.div_ceil(QUERIES))
                .map(|set| {
                    gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                        label: Some("times of passes"),
                        ty: wgpu::QueryType::Timestamp,
                        count: (queries - set * QUERIES).min(QUERIES),
                    })
                })
                .collect()
        });
        match error {
            None => Ok(Some(Self { sets, resolved, passes, written: 0 })),
            Some(error) => Err(Error::Device { adapter: gpu.name().to_owned(), reason: describe(&error) }),
        }
    }

    /// What to give the descriptor of pass `pass`, counted from 0; none beyond the passes the timer was made for.
    pub(crate) fn pass(&self, pass: u32) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        if pass >= self.passes {
            return None;
        }
        let query = pass * 2;
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[(query / QUERIES) as usize],
            beginning_of_pass_write_index: Some(query % QUERIES),
            end_of_pass_write_index: Some(query % QUERIES + 1),
        })
    }

    /// Records the collection of the times of passes `0..passes`, after the last of them in the same encoder. All of
    /// them must have been recorded: a device waits for a time that was never taken.
    pub(crate) fn resolve(&mut self, encoder: &mut wgpu::CommandEncoder, passes: u32) {
        self.written = passes.min(self.passes);
        let queries = self.written * 2;
        for (place, set) in self.sets.iter().enumerate() {
            let first = place as u32 * QUERIES;
            if first < queries {
                let count = (queries - first).min(QUERIES);
                encoder.resolve_query_set(set, 0..count, &self.resolved, u64::from(first) * QUERY_BYTES);
            }
        }
    }

    /// The times of the passes last resolved, waiting for the device.
    ///
    /// # Errors
    /// What [`Gpu::check`] returns.
    pub(crate) fn read(&self, gpu: &Gpu) -> Result<Vec<Duration>> {
        let ticks: Vec<u64> = buffer::download_as(gpu, &self.resolved, 0, self.written as usize * 2)?;
        let nanoseconds = f64::from(gpu.queue.get_timestamp_period());
        // Some clocks step back a little between passes.
        let pass = |pair: &[u64]| pair[1].saturating_sub(pair[0]) as f64 * nanoseconds;
        Ok(ticks.chunks_exact(2).map(|pair| Duration::from_nanos(pass(pair) as u64)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{OpenOptions, PipelineCache, ShaderSource, testing};

    const COUNT: &str = "@group(0) @binding(0) var<storage, read_write> sums: array<u32>;\n\
        const ROUNDS: u32 = 1u;\n\
        @compute @workgroup_size(64)\n\
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {\n\
          for (var n = 0u; n < ROUNDS; n++) { sums[id.x] = sums[id.x] * 3u + n; }\n\
        }\n";

    fn timed() -> Option<Gpu> {
        testing::software_with(OpenOptions { timestamps: true, ..OpenOptions::default() })
    }

    #[test]
    fn a_device_opened_to_train_has_no_timer() {
        let Some(gpu) = testing::software() else {
            return;
        };
        assert!(Timer::new(&gpu, 1).unwrap().is_none());
    }

    #[test]
    fn longer_passes_take_longer() {
        let Some(gpu) = timed() else {
            return;
        };
        let Some(mut timer) = Timer::new(&gpu, 4).unwrap() else {
            assert!(!gpu.summary.timestamps);
            return;
        };
        let cache = PipelineCache::new();
        let variant = |rounds: u32| ShaderSource::new("count", COUNT).with("ROUNDS", rounds).expand(|_| None).unwrap();
        let built = cache.get_all(&gpu, &[variant(1), variant(20_000)]).unwrap();
        let sums = buffer::storage(&gpu, "sums", 64 * 64 * 4).unwrap();
        let mut encoder = gpu.encoder("profile");
        for (place, pipeline) in built.iter().enumerate() {
            let group = pipeline.bind(&gpu, &[sums.as_entire_buffer_binding()]).unwrap();
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(&pipeline.name),
                timestamp_writes: timer.pass(place as u32),
            });
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(64, 1, 1);
        }
        timer.resolve(&mut encoder, 2);
        gpu.submit(encoder);
        let times = timer.read(&gpu).unwrap();
        assert_eq!(times.len(), 2);
        assert!(times[1] > times[0] && times[1] < Duration::from_secs(60), "{times:?}");
    }

    #[test]
    fn many_passes_use_several_sets() {
        let Some(gpu) = timed() else {
            return;
        };
        let Some(timer) = Timer::new(&gpu, QUERIES).unwrap() else {
            return;
        };
        assert_eq!(timer.sets.len(), 2);
        assert_eq!(timer.pass(QUERIES / 2).unwrap().query_set, &timer.sets[1]);
        assert!(timer.pass(QUERIES).is_none());
    }
}
