//! The time of each operation on the CPU.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::{CpuExecutor, StepInput, batch_words, view};
use crate::graph::Node;
use crate::ops::{CpuScalar, Operation};
use crate::plan::lower::shape_of;
use crate::plan::{Error, Profile, StepChunk, TimedPart};

impl<T: CpuScalar> CpuExecutor<T> {
    /// Runs some nodes of the chunk's first step.
    fn run_parts(&mut self, chunk: &StepChunk, parts: Range<usize>, times: Option<&[AtomicU64]>) {
        let plan = &self.train.plan;
        let uniforms = &chunk.uniforms[0];
        let source = view(chunk, &plan.graph);
        let input = StepInput { uniforms, words: batch_words(&chunk.words, &plan.batch_layout, uniforms), source };
        self.train.run_nodes(parts, &mut self.state, &input, times);
    }
}

impl<T: CpuScalar> Profile for CpuExecutor<T> {
    fn parts(&self) -> Vec<TimedPart> {
        let plan = &self.train.plan;
        let part = |node: &Node| {
            // An update reads and writes the state, not tensors.
            let shape =
                shape_of(node).map_or_else(|| "state".to_owned(), |tensor| plan.graph.shape(tensor).to_string());
            let cost = node.op.cost(node, &plan.graph, plan.capacity);
            TimedPart { name: node.name.clone(), operation: node.op.name().to_owned(), shape, cost }
        };
        plan.graph.nodes.iter().map(part).collect()
    }

    fn has_uniforms(&self) -> bool {
        // The host's is the device's.
        true
    }

    /// A block of samples runs through many operations in one go: an operation's time is what all threads together
    /// spend in it, divided by their number.
    fn profile(&mut self, chunk: &StepChunk, repeats: usize) -> Result<Vec<Vec<Duration>>, Error> {
        let count = self.train.plan.graph.nodes.len();
        let threads = rayon::current_num_threads() as u64;
        let mut times = vec![Vec::with_capacity(repeats); count];
        for _ in 0..repeats {
            let spent: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
            self.run_parts(chunk, 0..count, Some(&spent));
            for (times, spent) in times.iter_mut().zip(spent) {
                times.push(Duration::from_nanos(spent.into_inner() / threads));
            }
        }
        Ok(times)
    }

    fn repeat(&mut self, chunk: &StepChunk, part: usize, times: usize) -> Result<Duration, Error> {
        let started = Instant::now();
        for _ in 0..times {
            self.run_parts(chunk, part..part + 1, None);
        }
        Ok(started.elapsed())
    }
}
