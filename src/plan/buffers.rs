//! Gives every tensor a place: parameters and gradients their own, activations a part of an arena that others use again
//! once nothing will read it any more.

use std::cmp::Reverse;
use std::ops::Range;

use crate::graph::{Graph, RowExtent, Shape, TensorId, token_places};
use crate::ops::{Arenas, Location, Op};
use crate::plan::Plan;

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The parameter of this number.
    Parameter(usize),
    /// The gradient of the parameter of this number.
    Gradient(usize),
    /// A part of the activations' memory.
    Activation {
        /// Which of its buffers.
        arena: usize,
        /// The first value in it.
        offset: usize,
    },
    /// Nowhere: no operation of the plan touches it.
    Unused,
}

/// Where a plan's tensors lie on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The place of each tensor.
    pub places: Vec<Place>,
    /// Values that each arena holds; 0 where one is not needed before another.
    pub arenas: Vec<usize>,
    /// What they hold.
    pub layout: Arenas,
}

impl Memory {
    /// Bytes of each arena.
    pub fn bytes(&self) -> impl Iterator<Item = u64> + '_ {
        self.arenas.iter().enumerate().map(|(arena, &values)| self.layout.value_bytes(arena) * values as u64)
    }
}

/// Arenas at most: what shaders bind.
pub const ARENAS: usize = 3;
/// Values that an activation's place is a multiple of: 256 bytes, whole lines of any cache.
const GRAIN: usize = 64;

/// An activation while places are sought.
#[derive(Clone, Debug)]
struct Activation {
    tensor: usize,
    /// Values, a multiple of [`GRAIN`].
    size: usize,
    /// The segments from the one that makes it to the last that reads it.
    life: Range<usize>,
}

/// Rows of a tensor in a step of `capacity` samples.
fn rows(shape: Shape, capacity: usize) -> usize {
    match shape.rows {
        RowExtent::Batch => capacity,
        RowExtent::Tokens(longest) => token_places(capacity, longest),
        RowExtent::Fixed(rows) => rows,
    }
}

/// Values of a tensor [B, ·] as it lies in memory: rows begin at multiples of 4 values.
fn size(graph: &Graph, tensor: TensorId, maker: &Op, capacity: usize) -> usize {
    match maker {
        // One row for each distinct embedding.
        Op::EmbedGrad(op) => capacity * op.rows() * Location::stride_of(op.width),
        _ => rows(graph.shape(tensor), capacity) * Location::stride_of(graph.width(tensor)),
    }
}

/// Places of all tensors in arenas of at most `limit` bytes; the last arena of a tensor's kind takes what fits none. Nodes of
/// a segment run at the same time, those of one after those of the segment before.
pub(super) fn assign(plan: &Plan, segments: &[Range<usize>], limit: u64) -> Memory {
    let Plan { graph, capacity, gradients, .. } = plan;
    let capacity = *capacity;
    let mut places = vec![Place::Unused; graph.tensors.len()];
    for (place, tensor) in places.iter_mut().zip(&graph.tensors) {
        if let Some(parameter) = tensor.parameter {
            *place = Place::Parameter(parameter);
        }
    }
    for (parameter, gradient) in gradients.iter().enumerate() {
        if let Some(gradient) = gradient {
            places[gradient.0] = Place::Gradient(parameter);
        }
    }
    let nodes = || {
        segments
            .iter()
            .enumerate()
            .flat_map(|(step, nodes)| graph.nodes[nodes.clone()].iter().map(move |node| (step, node)))
    };
    let mut last_use = vec![0; graph.tensors.len()];
    for (step, node) in nodes() {
        for tensor in node.inputs.iter().chain(&node.outputs) {
            last_use[tensor.0] = step;
        }
    }
    let mut activations = Vec::new();
    for (step, node) in nodes() {
        for &output in node.outputs.iter().filter(|output| places[output.0] == Place::Unused) {
            let size = size(graph, output, &node.op, capacity).next_multiple_of(GRAIN);
            activations.push(Activation { tensor: output.0, size, life: step..last_use[output.0] + 1 });
        }
    }
    // The largest first: the small ones fit between.
    activations.sort_by_key(|activation| Reverse(activation.size));
    let mut arenas: [Vec<(usize, Activation)>; ARENAS] = Default::default();
    for activation in activations {
        let offsets = arenas.each_ref().map(|placed| offset(placed, &activation));
        let of_kind = match (plan.mixed_precision, plan.is_half(TensorId(activation.tensor))) {
            (false, _) => 0..ARENAS,
            (true, true) => 0..Arenas::OF_F32,
            (true, false) => Arenas::OF_F32..Arenas::OF_F32 + 1,
        };
        // With what may be read beyond the last.
        let fits = |&arena: &usize| offsets[arena] + activation.size + GRAIN <= most_values(plan, arena, limit);
        let arena = of_kind.clone().find(fits).unwrap_or(of_kind.end - 1);
        places[activation.tensor] = Place::Activation { arena, offset: offsets[arena] };
        arenas[arena].push((offsets[arena], activation));
    }
    let ends = arenas.each_ref().map(|placed| placed.iter().map(|(offset, a)| offset + a.size).max().unwrap_or(0));
    let used = ends.iter().rposition(|&end| end > 0).unwrap_or(0) + 1;
    let layout = match plan.mixed_precision {
        false => Arenas::Full(used),
        true => Arenas::Mixed(if ends[1] > 0 { 2 } else { 1 }),
    };
    let bound = if plan.mixed_precision { ARENAS } else { used };
    // Shaders read four values from any place of a tensor on, so a little beyond the last.
    let values = |arena: usize| if layout.bound(arena) == arena { ends[arena] + GRAIN } else { 0 };
    Memory { places, arenas: (0..bound).map(values).collect(), layout }
}

/// Values that an arena may hold in so many bytes. An address has 30 bits for the place.
pub(super) fn most_values(plan: &Plan, arena: usize, bytes: u64) -> usize {
    let layout = if plan.mixed_precision { Arenas::Mixed(1) } else { Arenas::Full(1) };
    (bytes / layout.value_bytes(arena)).min(1 << 30) as usize
}

/// Where an activation fits best among those placed: the smallest gap between what is alive at the same time.
fn offset(placed: &[(usize, Activation)], new: &Activation) -> usize {
    let meet = |other: &Activation| other.life.start < new.life.end && new.life.start < other.life.end;
    let mut taken: Vec<Range<usize>> =
        placed.iter().filter(|(_, other)| meet(other)).map(|(offset, other)| *offset..offset + other.size).collect();
    taken.sort_by_key(|range| range.start);
    let mut best: Option<(usize, usize)> = None;
    let mut end = 0;
    for range in taken {
        if range.start >= end + new.size {
            let gap = (range.start - end, end);
            best = Some(best.map_or(gap, |best| best.min(gap)));
        }
        end = end.max(range.end);
    }
    best.map_or(end, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activation(size: usize, life: Range<usize>) -> Activation {
        Activation { tensor: 0, size, life }
    }

    #[test]
    fn the_smallest_gap_is_taken_between_what_lives_at_the_same_time() {
        let placed = [
            (0, activation(64, 0..4)),
            (256, activation(64, 2..9)),
            (448, activation(64, 0..9)),
            (64, activation(192, 0..2)),
        ];
        // Free while nodes 2 and 3 run: 64..256, 320..448, and all from 512 on.
        assert_eq!(offset(&placed, &activation(128, 2..4)), 320);
        assert_eq!(offset(&placed, &activation(192, 3..4)), 64);
        assert_eq!(offset(&placed, &activation(256, 2..3)), 512);
        // Node 1 still reads what lies at 64.
        assert_eq!(offset(&placed, &activation(128, 1..3)), 320);
        assert_eq!(offset(&placed, &activation(64, 9..10)), 0);
    }
}
