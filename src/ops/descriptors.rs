//! Tables that tell a dispatch of many items which workgroup computes a part of which (`shaders/common/groups.wgsl`).

use super::Kernel;

/// What stands for something that is not there.
pub(super) const NONE: u32 = u32::MAX;
/// Invocations of a workgroup where each computes a large tile: few, so that the work is shared evenly.
pub(super) const TILES_PER_GROUP: usize = 8;

/// A table while it is made.
#[derive(Default)]
pub(super) struct Groups {
    /// For each workgroup the quad of `items` at which its item begins.
    starts: Vec<u32>,
    /// First workgroup of the items at hand.
    first: u32,
    items: Vec<[u32; 4]>,
}

impl Groups {
    /// The next item has `groups` workgroups of its own.
    pub(super) fn begin(&mut self, groups: usize) {
        self.first = self.starts.len() as u32;
        self.starts.resize(self.starts.len() + groups, self.items.len() as u32);
    }

    /// Describes an item: two words of its first quad, and the quads after that.
    pub(super) fn item(&mut self, head: [u32; 2], quads: Vec<[u32; 4]>) {
        self.items.push([self.first, head[0], head[1], 0]);
        self.items.extend(quads);
    }

    /// Workgroups so far.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The kernel with this table.
    pub(super) fn into_descriptors(self, kernel: Kernel) -> Kernel {
        let before = 1 + self.starts.len().div_ceil(4);
        let mut table = vec![self.starts.len() as u32, 0, 0, 0];
        table.extend(self.starts.iter().map(|start| start + before as u32));
        table.resize(4 * before, 0);
        table.extend(self.items.into_iter().flatten());
        Kernel { descriptors: table, ..kernel }
    }
}
