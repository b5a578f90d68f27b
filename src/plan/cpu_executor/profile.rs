//! The time of each operation on the CPU.

use std::time::{Duration, Instant};

use super::{CpuExecutor, StepInput, slot, view};
use crate::cpu::Real;
use crate::graph::Node;
use crate::ops::Operation;
use crate::plan::lower::shape_of;
use crate::plan::{Chunk, Error, Part, Profile};

impl<T: Real> CpuExecutor<T> {
    fn run_part(&mut self, chunk: &Chunk, part: usize) -> Duration {
        let plan = &self.train.plan;
        let clock = &chunk.clocks[0];
        let source = view(chunk, plan.lookups(), chunk.values.len() / chunk.labels.len().max(1));
        let input = StepInput { clock, words: slot(&chunk.words, &plan.schedule, clock), source };
        let started = Instant::now();
        self.train.run_nodes(part..part + 1, &mut self.state, &input);
        started.elapsed()
    }
}

impl<T: Real> Profile for CpuExecutor<T> {
    fn parts(&self) -> Vec<Part> {
        let plan = &self.train.plan;
        let part = |node: &Node| {
            // An update reads and writes the state, not tensors.
            let shape =
                shape_of(node).map_or_else(|| "state".to_owned(), |tensor| plan.graph.shape(tensor).to_string());
            let cost = node.op.cost(node, &plan.graph, plan.capacity);
            Part { name: node.name.clone(), operation: node.op.name().to_owned(), shape, cost }
        };
        plan.graph.nodes.iter().map(part).collect()
    }

    fn has_clock(&self) -> bool {
        // The host's is the device's.
        true
    }

    fn profile(&mut self, chunk: &Chunk, repeats: usize) -> Result<Vec<Vec<Duration>>, Error> {
        let mut times = vec![Vec::with_capacity(repeats); self.train.plan.graph.nodes.len()];
        for _ in 0..repeats {
            for (part, times) in times.iter_mut().enumerate() {
                times.push(self.run_part(chunk, part));
            }
        }
        Ok(times)
    }

    fn repeat(&mut self, chunk: &Chunk, part: usize, times: usize) -> Result<Duration, Error> {
        Ok((0..times).map(|_| self.run_part(chunk, part)).sum())
    }
}
