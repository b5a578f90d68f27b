//! Keeps a batch's predictions.

use super::{Arg, Cost, Cpu, Kernel, Op, Operation, Target};
use crate::cpu::Real;
use crate::graph::{Graph, Node, Shape};

/// Copies the logits [B, 1] to the results, at the row the step's clock names.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreLogits;

impl Operation for StoreLogits {
    fn name(&self) -> &'static str {
        "store_logits"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].cols, 1, "store_logits: one logit per sample");
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, 0).plus_bytes(4 * batch)
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, _: &mut [Vec<T>]) {
        let mut results = cpu.results.lock().expect("no thread panics while it stores");
        let first = cpu.clock.first as usize;
        for (result, logit) in results[first..].iter_mut().zip(cpu.inputs[0]) {
            *result = logit.wide() as f32;
        }
    }

    fn kernels(&self, _: &Node, _: &Graph, target: &Target) -> Vec<Kernel> {
        vec![Kernel::new("store_logits", target.capacity).bind([Arg::Input(0), Arg::Results])]
    }
}
