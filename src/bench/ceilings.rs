//! What a device can do at most.

use serde::Serialize;

use super::cpu_ceilings::measure_cpu;
use super::gpu_ceilings::GpuBench;
use super::{Device, Effort};
use crate::ops::Cost;
use crate::train::Error;

/// How fast buffers are copied that are so large together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CopyRate {
    /// Bytes of both buffers.
    pub footprint: u64,
    /// Bytes read and written per second.
    pub bytes_per_second: f64,
    /// The distance between the quartiles, as a fraction of the median.
    pub spread: f64,
}

/// How fast one way to multiply and add is.
#[derive(Clone, Debug, Serialize)]
pub struct MultiplyAddRate {
    /// Which way.
    pub variant: String,
    /// Floating-point operations per second; a multiply-add is two.
    pub flops_per_second: f64,
    /// The distance between the quartiles, as a fraction of the median.
    pub spread: f64,
}

/// What a device can do at most. Nothing here is from a data sheet.
#[derive(Clone, Debug, Serialize)]
pub struct Ceilings {
    /// Bytes read and written per second from and to memory: the rate of the largest copy.
    pub bytes_per_second: f64,
    /// Operations per second of the fastest way to multiply and add.
    pub flops_per_second: f64,
    /// Seconds from the start of a dispatch to that of the next, when both do nothing and the second waits for the
    /// first; on the CPU, seconds to hand work to all threads and get it back.
    pub dispatch_seconds: f64,
    /// Seconds the host needs to record a dispatch; none on the CPU.
    pub record_seconds: Option<f64>,
    /// Seconds from a submit to the host's knowing that its work is done; none on the CPU.
    pub submit_seconds: Option<f64>,
    /// Seconds of a pass with one dispatch that does nothing, by the device's clock, where it has one.
    pub pass_seconds: Option<f64>,
    /// Copies of several sizes, small ones first: those that fit them run in caches.
    pub copies: Vec<CopyRate>,
    /// Ways to multiply and add.
    pub multiply_adds: Vec<MultiplyAddRate>,
}

/// What keeps something from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The device cannot multiply and add faster.
    Arithmetic,
    /// Memory or caches cannot be read and written faster.
    Memory,
    /// Dispatches cannot follow each other faster.
    Latency,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Arithmetic => "arithmetic",
            Self::Memory => "memory",
            Self::Latency => "latency",
        })
    }
}

/// Footprints of the copies, in bytes: in the nearest caches, in the farthest, about as large as these, in memory.
const FOOTPRINTS: [u64; 4] = [1 << 20, 8 << 20, 64 << 20, 256 << 20];
/// Footprints when in a hurry.
const QUICK_FOOTPRINTS: [u64; 2] = [1 << 20, 32 << 20];

impl Ceilings {
    /// Measures a device.
    ///
    /// # Errors
    /// When it fails.
    pub fn measure(device: &Device, effort: &Effort) -> Result<Self, Error> {
        let footprints: &[u64] = if effort.quick { &QUICK_FOOTPRINTS } else { &FOOTPRINTS };
        Ok(match device {
            Device::Cpu => measure_cpu(effort, footprints),
            Device::Gpu { gpu, .. } => GpuBench::new(gpu, effort)?.measure(footprints)?,
        })
    }

    /// Fills in what follows from the copies and the multiply-adds.
    pub(crate) fn of(copies: Vec<CopyRate>, multiply_adds: Vec<MultiplyAddRate>, dispatch_seconds: f64) -> Self {
        let fastest = multiply_adds.iter().map(|way| way.flops_per_second).fold(0.0, f64::max);
        Self {
            bytes_per_second: copies.last().map_or(0.0, |copy| copy.bytes_per_second),
            flops_per_second: fastest,
            dispatch_seconds,
            record_seconds: None,
            submit_seconds: None,
            pass_seconds: None,
            copies,
            multiply_adds,
        }
    }

    /// Bytes per second that something which moves so many may reach: the best copy of at least that size. What is
    /// small lies in caches, for it was written just before it is read.
    pub fn copy_rate(&self, bytes: u64) -> f64 {
        let larger = self.copies.iter().filter(|copy| copy.footprint >= bytes);
        larger.map(|copy| copy.bytes_per_second).fold(self.bytes_per_second, f64::max)
    }

    /// The seconds that arithmetic and memory traffic of this cost take at least.
    pub fn at_least(&self, cost: Cost) -> (f64, f64) {
        (cost.flops as f64 / self.flops_per_second, cost.bytes as f64 / self.copy_rate(cost.bytes))
    }

    /// What fraction of its ceiling a dispatch of this cost reached that took so many seconds, and which ceiling that
    /// is. Below twice a dispatch that does nothing, it is latency, whatever the fraction.
    pub fn judge(&self, cost: Cost, seconds: f64) -> (f64, Bound) {
        let (arithmetic, memory) = self.at_least(cost);
        let idle = self.dispatch_seconds.max(self.pass_seconds.unwrap_or(0.0));
        let bound = if seconds < 2.0 * idle {
            Bound::Latency
        } else if arithmetic >= memory {
            Bound::Arithmetic
        } else {
            Bound::Memory
        };
        (arithmetic.max(memory) / seconds, bound)
    }

    /// Seconds that one dispatch takes at least in a step: the device's or the host's part, whichever is longer, for
    /// the host records the next steps while the device computes.
    pub fn latency(&self) -> f64 {
        self.dispatch_seconds.max(self.record_seconds.unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 GB/s in caches, 10 GB/s from memory, 1 TFLOP/s, 1 µs.
    fn ceilings() -> Ceilings {
        let copy = |footprint, bytes_per_second| CopyRate { footprint, bytes_per_second, spread: 0.0 };
        let way = |flops_per_second| MultiplyAddRate { variant: "scalar".to_owned(), flops_per_second, spread: 0.0 };
        Ceilings::of(vec![copy(1 << 20, 1e11), copy(1 << 26, 1e10)], vec![way(1e12), way(5e11)], 1e-6)
    }

    #[test]
    fn small_traffic_is_measured_by_small_copies() {
        let ceilings = ceilings();
        assert_eq!(ceilings.copy_rate(1000), 1e11);
        assert_eq!(ceilings.copy_rate(2 << 20), 1e10);
        assert_eq!(ceilings.copy_rate(1 << 30), 1e10);
        assert_eq!(ceilings.flops_per_second, 1e12);
    }

    #[test]
    fn the_higher_floor_is_the_bound_unless_next_to_nothing_is_done() {
        let ceilings = ceilings();
        let cost = |flops, bytes| Cost { flops, bytes };
        assert_eq!(ceilings.judge(cost(100_000_000, 1000), 200e-6), (0.5, Bound::Arithmetic));
        assert_eq!(ceilings.judge(cost(1000, 1_000_000), 40e-6), (0.25, Bound::Memory));
        assert_eq!(ceilings.judge(cost(1000, 10_000_000), 1e-3).1, Bound::Memory);
        assert_eq!(ceilings.judge(cost(1_000_000, 0), 1.9e-6).1, Bound::Latency);
        let slow_passes = Ceilings { pass_seconds: Some(3e-5), ..ceilings };
        assert_eq!(slow_passes.judge(cost(1000, 1_000_000), 40e-6).1, Bound::Latency);
    }
}
