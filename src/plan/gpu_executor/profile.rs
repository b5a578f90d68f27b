//! The time of each dispatch on a GPU.

use std::time::{Duration, Instant};

use super::GpuExecutor;
use crate::gpu::Timer;
use crate::plan::{Error, Profile, StepChunk, TimedPart};

/// Most dispatches per submit when one is repeated.
const REPEATS_PER_SUBMIT: usize = 128;
/// How long a dispatch is repeated to be timed by the host's clock.
const WALL_CLOCK: Duration = Duration::from_millis(5);

impl GpuExecutor {
    /// Sends a chunk to the device.
    fn send(&mut self, chunk: &StepChunk) -> Result<(), Error> {
        let mut encoder = self.gpu.encoder("a step to be timed");
        self.train.stage(&self.gpu, &mut encoder, chunk)?;
        let submission = self.gpu.submit(encoder);
        self.train.upload.submitted(&submission);
        Ok(self.gpu.wait()?)
    }

    /// As [`Profile::repeat`], for the chunk sent last.
    fn run_part(&self, part: usize, times: usize, per_submit: usize) -> Result<Duration, Error> {
        let started = Instant::now();
        let mut left = times;
        while left > 0 {
            let count = left.min(per_submit);
            let mut encoder = self.gpu.encoder("one dispatch repeated");
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.train.set_step(&mut pass, 0);
            for _ in 0..count {
                self.train.dispatch(&mut pass, part);
            }
            drop(pass);
            self.gpu.submit(encoder);
            left -= count;
        }
        self.gpu.wait()?;
        Ok(started.elapsed())
    }

    /// How many times a part may run in one submit; runs it once.
    fn repeats_per_submit(&self, part: usize) -> Result<usize, Error> {
        let once = self.run_part(part, 1, 1)?;
        let fit = self.options.submit_limit.as_secs_f64() / once.as_secs_f64();
        Ok(fit.clamp(1.0, REPEATS_PER_SUBMIT as f64) as usize)
    }

    /// The time that one more dispatch takes, so that what a submit costs does not count.
    fn by_wall_clock(&self, part: usize, repeats: usize) -> Result<Vec<Duration>, Error> {
        let max = self.repeats_per_submit(part)?;
        let once = self.run_part(part, 1, 1)?;
        let more = (WALL_CLOCK.as_secs_f64() / once.as_secs_f64()).clamp(1.0, REPEATS_PER_SUBMIT as f64 - 1.0) as usize;
        let time = |_| Ok(self.run_part(part, 1 + more, max)?.saturating_sub(self.run_part(part, 1, 1)?) / more as u32);
        (0..repeats).map(time).collect()
    }
}

impl Profile for GpuExecutor {
    fn parts(&self) -> Vec<TimedPart> {
        let listing = self.train.plan.listing(&self.options.limits(&self.gpu));
        listing.dispatches.into_iter().map(TimedPart::from).collect()
    }

    fn has_uniforms(&self) -> bool {
        self.gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    fn profile(&mut self, chunk: &StepChunk, repeats: usize) -> Result<Vec<Vec<Duration>>, Error> {
        let count = self.train.pipelines.len();
        self.send(chunk)?;
        let Some(mut timer) = Timer::new(&self.gpu, count as u32)? else {
            return (0..count).map(|part| self.by_wall_clock(part, repeats)).collect();
        };
        let mut times = vec![Vec::with_capacity(repeats); count];
        for _ in 0..repeats {
            // Until it is known what a step takes, each dispatch is a submit; and where it takes long, it stays so.
            let known: Duration = times.iter().filter_map(|times| times.last()).sum();
            let apart = known.is_zero() || known > self.options.submit_limit;
            let mut encoder = self.gpu.encoder("a step, one pass per dispatch");
            for part in 0..count {
                if apart && part > 0 {
                    let next = self.gpu.encoder("a step, one submit per dispatch");
                    self.gpu.submit(std::mem::replace(&mut encoder, next));
                }
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: timer.pass(part as u32),
                });
                self.train.set_step(&mut pass, 0);
                self.train.dispatch(&mut pass, part);
            }
            timer.resolve(&mut encoder, count as u32);
            self.gpu.submit(encoder);
            for (times, time) in times.iter_mut().zip(timer.read(&self.gpu)?) {
                times.push(time);
            }
        }
        Ok(times)
    }

    fn repeat(&mut self, chunk: &StepChunk, part: usize, times: usize) -> Result<Duration, Error> {
        self.send(chunk)?;
        // More than one costs one more beforehand, by which it is known how many a submit may hold.
        let max = if times > 1 { self.repeats_per_submit(part)? } else { 1 };
        self.run_part(part, times, max)
    }
}
