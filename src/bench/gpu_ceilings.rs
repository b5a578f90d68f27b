//! The ceilings of a GPU, by shaders that do one thing.

use std::time::{Duration, Instant};

use super::ceilings::{Ceilings, CopyRate, MultiplyAddRate};
use super::sample::{Effort, Sample, repeat};
use super::shaders::{CHAINS, COPIES, copy, multiply_add, touch};
use crate::gpu::{DeviceClass, Error, Gpu, PipelineCache, Shader, Timer, buffer};
use crate::plan::DispatchLimits;

/// How long a pass is to take: long beside what starts it, short beside the two seconds of a watchdog.
const PASS: Duration = Duration::from_millis(10);
/// Dispatches of a pass at most.
const MAX_DISPATCHES: usize = 1000;

/// Measures one device.
pub(super) struct GpuBench<'a> {
    gpu: &'a Gpu,
    effort: &'a Effort,
    timer: Option<Timer>,
    cache: PipelineCache,
    workgroup: u32,
    /// Seconds of a submit, taken off where the host's clock must do.
    submit: f64,
}

/// A shader with its buffers, ready to be dispatched.
struct Work {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

impl<'a> GpuBench<'a> {
    pub(super) fn new(gpu: &'a Gpu, effort: &'a Effort) -> Result<Self, Error> {
        let workgroup = DispatchLimits::of(gpu).tuning.workgroup;
        Ok(Self { gpu, effort, timer: Timer::new(gpu, 1)?, cache: PipelineCache::new(), workgroup, submit: 0.0 })
    }

    pub(super) fn measure(mut self, footprints: &[u64]) -> Result<Ceilings, Error> {
        let effort = self.effort;
        let counts = buffer::storage(self.gpu, "counts", 4 * u64::from(self.workgroup))?;
        let idle = self.work(&touch(self.workgroup)?, &[&counts], self.workgroup.into())?;
        let submit = repeat(effort, || self.submit(&idle, 1))?;
        self.submit = submit.seconds;
        let pass = match self.timer {
            Some(_) => Some(self.sample(&idle, 1)?.seconds),
            None => None,
        };
        let many = if self.gpu.class() == DeviceClass::Software { 200 } else { MAX_DISPATCHES };
        let dispatch = self.sample(&idle, many)?.per(many).seconds;
        let record = repeat(effort, || {
            let started = Instant::now();
            drop(self.record(&idle, many).finish());
            Ok::<_, Error>(started.elapsed().as_secs_f64())
        })?;

        let copies = footprints.iter().filter_map(|&footprint| self.copy_rate(footprint).transpose());
        let copies = copies.collect::<Result<Vec<_>, Error>>()?;
        let mut multiply_adds = Vec::new();
        for (name, round) in CHAINS {
            for fused in [true, false] {
                multiply_adds.push(self.multiply_add_rate(name, round, fused)?);
            }
        }
        Ok(Ceilings {
            record_seconds: Some(record.per(many).seconds),
            submit_seconds: Some(submit.seconds),
            pass_seconds: pass,
            ..Ceilings::of(copies, multiply_adds, dispatch)
        })
    }

    /// The best copy between two buffers; none where the device has no buffers so large.
    fn copy_rate(&mut self, footprint: u64) -> Result<Option<CopyRate>, Error> {
        let half = footprint / 2;
        if half > self.gpu.max_binding_bytes() {
            return Ok(None);
        }
        let values = buffer::storage(self.gpu, "values to copy", half)?;
        let copies = buffer::storage(self.gpu, "copies", half)?;
        // So much at least that a dispatch's start does not count; small buffers are copied several times.
        let moved = footprint.max(match self.gpu.class() {
            DeviceClass::Software => 16 << 20,
            DeviceClass::Hardware => 256 << 20,
        });
        let vectors = moved / 32;
        let mut best: Option<CopyRate> = None;
        for per in COPIES {
            let shader = copy(self.workgroup, (half / 16) as u32, per)?;
            let work = self.work(&shader, &[&values, &copies], vectors / u64::from(per))?;
            let sample = self.rate(&work)?;
            let rate = CopyRate { footprint, bytes_per_second: moved as f64 / sample.seconds, spread: sample.spread };
            if best.is_none_or(|best| best.bytes_per_second < rate.bytes_per_second) {
                best = Some(rate);
            }
        }
        Ok(best)
    }

    fn multiply_add_rate(&mut self, name: &str, round: u64, fused: bool) -> Result<MultiplyAddRate, Error> {
        const ROUNDS: u32 = 64;
        let invocations: u64 = match self.gpu.class() {
            DeviceClass::Software => 1 << 13,
            DeviceClass::Hardware => 1 << 19,
        };
        // Sums that neither grow nor die out: x ← x / 2 + 1.
        let constants = buffer::storage_of(self.gpu, "factor and addend", &[0.5f32, 1.0])?;
        let sums = buffer::storage(self.gpu, "sums", 4 * invocations)?;
        let shader = multiply_add(name, self.workgroup, ROUNDS, fused)?;
        let work = self.work(&shader, &[&constants, &sums], invocations)?;
        let sample = self.rate(&work)?;
        let variant = format!("{}, {}", name.replace('_', " "), if fused { "fused" } else { "as the driver likes" });
        let flops = (invocations * round * u64::from(ROUNDS)) as f64;
        Ok(MultiplyAddRate { variant, flops_per_second: flops / sample.seconds, spread: sample.spread })
    }

    /// A dispatch of so many invocations, a multiple of the workgroup.
    fn work(&self, shader: &Shader, buffers: &[&wgpu::Buffer], invocations: u64) -> Result<Work, Error> {
        let pipeline = self.cache.get(self.gpu, shader)?;
        let buffers: Vec<_> = buffers.iter().map(|buffer| buffer.as_entire_buffer_binding()).collect();
        let group = pipeline.bind(self.gpu, &buffers)?;
        let workgroups = self.gpu.fold(invocations / u64::from(self.workgroup)).expect("a few million invocations");
        Ok(Work { pipeline: pipeline.pipeline.clone(), group, workgroups })
    }

    /// The time of one dispatch out of as many as make a pass long.
    fn rate(&mut self, work: &Work) -> Result<Sample, Error> {
        let mut times = 1;
        loop {
            let seconds = self.pass(work, times)?;
            let wanted = times as f64 * PASS.as_secs_f64() / seconds.max(1e-9);
            if wanted <= 2.0 * times as f64 || times == MAX_DISPATCHES {
                return Ok(self.sample(work, times)?.per(times));
            }
            times = (wanted as usize).min(MAX_DISPATCHES);
        }
    }

    fn sample(&mut self, work: &Work, times: usize) -> Result<Sample, Error> {
        let effort = self.effort;
        repeat(effort, || self.pass(work, times))
    }

    /// Seconds of one pass, by the device's clock or else by the host's.
    fn pass(&mut self, work: &Work, times: usize) -> Result<f64, Error> {
        let seconds = self.submit(work, times)?;
        match &self.timer {
            Some(timer) => Ok(timer.read(self.gpu)?[0].as_secs_f64()),
            None => Ok((seconds - self.submit).max(0.0)),
        }
    }

    /// Seconds from a submit until the host knows that it is done.
    fn submit(&mut self, work: &Work, times: usize) -> Result<f64, Error> {
        let encoder = self.record(work, times);
        let started = Instant::now();
        self.gpu.submit(encoder);
        self.gpu.wait()?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn record(&mut self, work: &Work, times: usize) -> wgpu::CommandEncoder {
        let mut encoder = self.gpu.encoder("one dispatch repeated");
        let timestamp_writes = self.timer.as_ref().and_then(|timer| timer.pass(0));
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        pass.set_pipeline(&work.pipeline);
        pass.set_bind_group(0, &work.group, &[]);
        let [x, y, z] = work.workgroups;
        for _ in 0..times {
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        if let Some(timer) = &mut self.timer {
            timer.resolve(&mut encoder, 1);
        }
        encoder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{OpenOptions, testing};

    /// What a shader leaves in its second buffer, given the first.
    fn run(gpu: &Gpu, shader: &Shader, values: &[f32], count: usize, invocations: u64) -> Vec<f32> {
        let effort = Effort::quick();
        let mut bench = GpuBench::new(gpu, &effort).unwrap();
        let values = buffer::storage_of(gpu, "values", values).unwrap();
        let results = buffer::storage(gpu, "results", 4 * count as u64).unwrap();
        let work = bench.work(shader, &[&values, &results], invocations).unwrap();
        assert!(bench.pass(&work, 2).unwrap() > 0.0);
        buffer::download_as(gpu, &results, 0, count).unwrap()
    }

    #[test]
    fn ceilings_do_the_work_that_they_count() {
        for timestamps in [true, false] {
            let Some(gpu) = testing::software_with(OpenOptions { timestamps, ..OpenOptions::default() }) else {
                return;
            };
            let workgroup = DispatchLimits::of(&gpu).tuning.workgroup;
            let values: Vec<f32> = (0..4096).map(|n| n as f32).collect();
            for per in COPIES {
                let shader = copy(workgroup, 1024, per).unwrap();
                let copies = run(&gpu, &shader, &values, 4096, 1024 / u64::from(per));
                assert!(copies == values, "{per} at a time");
            }
            for (name, operations) in CHAINS {
                for fused in [true, false] {
                    let shader = multiply_add(name, workgroup, 64, fused).unwrap();
                    // All chains of x / 2 + 1 have come to 2; a round is four links of each.
                    let chains = operations as f32 / 2.0 / 4.0;
                    assert_eq!(run(&gpu, &shader, &[0.5, 1.0], 128, 128), [2.0 * chains; 128], "{name}");
                }
            }
        }
    }
}
