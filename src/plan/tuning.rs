//! Choices among kernels that compute the same. Devices differ in which is fastest, so they are measured
//! ([`crate::tune`]); where nobody has measured, there is a guess for each kind of device.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::gpu::{DeviceClass, Vendor};

/// How a plan is cut into dispatches and workgroups. Every choice gives the same results but for rounding, and each gives
/// the same bits every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// The family of kernels: those made for GPUs, or those for software renderers, which use nothing of the rest but
    /// `workgroup`.
    pub kernels: DeviceClass,
    /// Whether a workgroup takes a block of samples through a whole segment of nodes.
    pub segments: bool,
    /// Samples of such a block in a training step: 8 or 16; by the batch's size where nothing is said. More of them share
    /// what is read of weights; fewer give more workgroups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
    /// Invocations of the device's subgroups, at least: 4 to 128, a power of two. Kernels then add up within subgroups what
    /// they otherwise add up by way of workgroup memory; in the same order, so to the same bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<u32>,
    /// Rows and columns of a weight gradient that a workgroup sums: 32 or 64.
    pub grad_tile: u32,
    /// Sums over a batch are split into parts (split-K) until there are about so many workgroups; 1 splits none.
    pub sum_workgroups: u32,
    /// Invocations of a workgroup where a kernel does not ask for others: 32 to 256, a power of two.
    pub workgroup: u32,
}

impl Tuning {
    /// Blocks that kernels are made for.
    pub const BLOCKS: [u32; 2] = [8, 16];
    /// Subgroups that kernels are made for.
    pub const SUBGROUPS: [u32; 6] = [4, 8, 16, 32, 64, 128];
    /// Tiles of weight gradients that kernels are made for.
    pub const GRAD_TILES: [u32; 2] = [32, 64];
    /// Values of `sum_workgroups` that are tried.
    pub const SUM_WORKGROUPS: [u32; 4] = [1, 256, 512, 1024];
    /// Workgroups that are tried.
    pub const WORKGROUPS: [u32; 3] = [64, 128, 256];

    /// What suits a class of devices of which nothing else is known.
    pub const fn of_class(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Software => Self {
                kernels: class,
                segments: true,
                block: None,
                subgroup: None,
                grad_tile: 64,
                sum_workgroups: 1,
                // Renderers pay for each workgroup, GPUs for those that are too large to place.
                workgroup: 128,
            },
            DeviceClass::Hardware => Self {
                kernels: class,
                segments: true,
                block: None,
                subgroup: None,
                grad_tile: 64,
                sum_workgroups: 512,
                workgroup: 64,
            },
        }
    }

    /// A first guess for a maker's devices. It follows from how many workgroups keep such a device busy, not from
    /// measurements.
    pub fn guess(vendor: Vendor) -> Self {
        let hardware = Self::of_class(DeviceClass::Hardware);
        match vendor {
            Vendor::Software => Self::of_class(DeviceClass::Software),
            // A large card has room for some hundred workgroups of 256 at once.
            Vendor::Nvidia | Vendor::Amd | Vendor::Other => hardware,
            Vendor::Intel | Vendor::Apple => Self { sum_workgroups: 256, ..hardware },
            Vendor::Mobile => Self { sum_workgroups: 64, ..hardware },
        }
    }

    /// Samples of a block in steps of at most `capacity` samples.
    pub fn block_of(&self, capacity: usize) -> usize {
        // A GPU needs some hundred workgroups.
        const ENOUGH: usize = 256;
        match self.block {
            Some(block) => block as usize,
            None if capacity < 16 * ENOUGH => 8,
            None => 16,
        }
    }

    /// With a block that is said.
    pub fn resolved(&self, capacity: usize) -> Self {
        Self { block: Some(self.block_of(capacity) as u32), ..*self }
    }

    /// The choices that are worth a trial beside this one, on a device whose subgroups have at least `subgroup` invocations,
    /// if kernels can use them: each differs in one thing.
    pub fn neighbours(&self, subgroup: Option<u32>) -> Vec<Self> {
        let mut neighbours: Vec<Self> = Vec::new();
        if self.kernels == DeviceClass::Hardware {
            neighbours.extend(Self::BLOCKS.map(|block| Self { block: Some(block), ..*self }));
            neighbours.extend(Self::SUM_WORKGROUPS.map(|sum_workgroups| Self { sum_workgroups, ..*self }));
            neighbours.extend(Self::GRAD_TILES.map(|grad_tile| Self { grad_tile, ..*self }));
            neighbours.push(Self { segments: !self.segments, ..*self });
            neighbours.push(Self { subgroup: if self.subgroup.is_some() { None } else { subgroup }, ..*self });
        }
        neighbours.extend(Self::WORKGROUPS.map(|workgroup| Self { workgroup, ..*self }));
        let other = match self.kernels {
            DeviceClass::Hardware => DeviceClass::Software,
            DeviceClass::Software => DeviceClass::Hardware,
        };
        neighbours.push(Self { block: self.block, ..Self::of_class(other) });
        neighbours.retain(|neighbour| neighbour != self);
        neighbours
    }

    /// Whether kernels are made for it.
    ///
    /// # Errors
    /// Names what is not, and what may be.
    pub fn check(&self) -> Result<(), String> {
        let one_of = |name: &str, value: u32, allowed: &[u32]| {
            let names: Vec<String> = allowed.iter().map(u32::to_string).collect();
            let wrong = || format!("{name} is {value}; it can be {}", names.join(" or "));
            allowed.contains(&value).then_some(()).ok_or_else(wrong)
        };
        if let Some(block) = self.block {
            one_of("block", block, &Self::BLOCKS)?;
        }
        if let Some(subgroup) = self.subgroup {
            one_of("subgroup", subgroup, &Self::SUBGROUPS)?;
        }
        one_of("grad_tile", self.grad_tile, &Self::GRAD_TILES)?;
        one_of("workgroup", self.workgroup, &[32, 64, 128, 256])?;
        match self.sum_workgroups {
            0 => Err("sum_workgroups is 0; it can be 1 and more".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Display for Tuning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kernels, segments, block, subgroup, grad_tile, sum_workgroups, workgroup } = self;
        match kernels {
            DeviceClass::Software => write!(f, "software kernels, workgroups of {workgroup}"),
            DeviceClass::Hardware => {
                let block = block.map_or_else(String::new, |block| format!("blocks of {block} samples, "));
                let subgroup = subgroup.map_or_else(String::new, |least| format!("subgroups of {least} and more, "));
                let segments = if *segments { "segments" } else { "no segments" };
                write!(
                    f,
                    "hardware kernels, {segments}, {block}{subgroup}gradient tiles of {grad_tile}, sums over {sum_workgroups} \
                     workgroups, workgroups of {workgroup}"
                )
            }
        }
    }
}
