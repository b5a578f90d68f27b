//! Gives every tensor a place: parameters and gradients their own, activations a buffer that is reused once nothing
//! will read it any more.

use crate::graph::{Graph, TensorId};

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The parameter of this number.
    Parameter(usize),
    /// The gradient of the parameter of this number.
    Gradient(usize),
    /// The activation buffer of this number.
    Buffer(usize),
    /// Nowhere: no operation of the plan touches it.
    Unused,
}

/// Places of all tensors, and how many values each activation buffer holds.
pub(super) fn assign(graph: &Graph, capacity: usize, gradients: &[TensorId]) -> (Vec<Place>, Vec<usize>) {
    let mut places = vec![Place::Unused; graph.tensors.len()];
    for (place, tensor) in places.iter_mut().zip(&graph.tensors) {
        if let Some(parameter) = tensor.parameter {
            *place = Place::Parameter(parameter);
        }
    }
    for (parameter, gradient) in gradients.iter().enumerate() {
        places[gradient.0] = Place::Gradient(parameter);
    }
    let mut last_use = vec![0; graph.tensors.len()];
    for (step, node) in graph.nodes.iter().enumerate() {
        for tensor in node.inputs.iter().chain(&node.outputs) {
            last_use[tensor.0] = step;
        }
    }
    let mut buffers: Vec<usize> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    for (step, node) in graph.nodes.iter().enumerate() {
        for &output in &node.outputs {
            if places[output.0] != Place::Unused {
                continue;
            }
            let size = graph.shape(output).len(capacity);
            let buffer = take(&mut free, &mut buffers, size);
            places[output.0] = Place::Buffer(buffer);
        }
        // Freed only after the node's outputs have theirs: a dispatch never writes what it reads.
        let mut ended: Vec<TensorId> =
            node.inputs.iter().chain(&node.outputs).copied().filter(|tensor| last_use[tensor.0] == step).collect();
        ended.sort();
        ended.dedup();
        for tensor in ended {
            if let Place::Buffer(buffer) = places[tensor.0] {
                free.push(buffer);
            }
        }
    }
    (places, buffers)
}

/// The free buffer that fits best: the smallest that is large enough, else the largest, grown; else a new one.
fn take(free: &mut Vec<usize>, buffers: &mut Vec<usize>, size: usize) -> usize {
    let fits = |&&buffer: &&usize| buffers[buffer] >= size;
    let best = free
        .iter()
        .filter(fits)
        .min_by_key(|&&buffer| buffers[buffer])
        .or_else(|| free.iter().max_by_key(|&&buffer| buffers[buffer]))
        .copied();
    match best {
        Some(buffer) => {
            free.retain(|&other| other != buffer);
            buffers[buffer] = buffers[buffer].max(size);
            buffer
        }
        None => {
            buffers.push(size);
            buffers.len() - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_smallest_that_fits_and_grows_the_largest_otherwise() {
        let mut buffers = vec![10, 40, 20];
        let mut free = vec![0, 1, 2];
        assert_eq!(take(&mut free, &mut buffers, 15), 2);
        assert_eq!(take(&mut free, &mut buffers, 50), 1);
        assert_eq!(buffers, [10, 50, 20]);
        assert_eq!(take(&mut free, &mut buffers, 1), 0);
        assert_eq!(take(&mut free, &mut buffers, 1), 3);
    }
}
