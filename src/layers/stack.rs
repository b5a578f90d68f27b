//! Dense layers of one shape in one parameter: one for each scenario, expert or both.

use crate::graph::{Graph, Init, TensorId};
use crate::ops::{AffinePart, BiasPart, Draft, Epilogue, PartSource, Star};

/// So many dense layers: `NAME.weight` [count·outputs, inputs], `NAME.bias` [1, count·outputs].
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    weight: TensorId,
    bias: TensorId,
    outputs: usize,
    inputs: usize,
}

/// Which of a stack's layers computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this number, whatever the sample.
    Number(usize),
    /// Number `number` of the `each` that the sample's scenario has.
    Own {
        /// Among those of a scenario.
        number: usize,
        /// Layers of a scenario.
        each: usize,
    },
}

impl Which {
    /// The scenario's only one.
    pub const OWN: Self = Self::Own { number: 0, each: 1 };
}

/// One layer at work.
#[derive(Clone, Debug)]
pub struct Use {
    /// Where it is.
    pub stack: Stack,
    /// Which it is.
    pub layer: Which,
    /// Its inputs side by side: tensor, first column, columns.
    pub inputs: Vec<(TensorId, usize, usize)>,
}

impl Stack {
    /// New layers, each with Glorot-uniform weights and zeros as bias.
    pub fn new(graph: &mut Graph, name: &str, count: usize, outputs: usize, inputs: usize) -> Self {
        graph.scoped(name, |graph| {
            let init = Init::GlorotUniformOf { inputs, outputs };
            let weight = graph.parameter("weight", count * outputs, inputs, init);
            let bias = graph.parameter("bias", 1, count * outputs, Init::Zeros);
            Self { weight, bias, outputs, inputs }
        })
    }

    /// A layer for each scenario, made of a shared one and its own: weights are multiplied, biases added (STAR). The own
    /// weights begin at 1 with a deviation of 0.1: were they equal, so would be all that comes of them, and the cosines
    /// of equal vectors have no gradient.
    pub fn star(graph: &mut Graph, name: &str, scenarios: usize, outputs: usize, inputs: usize) -> Self {
        graph.scoped(name, |graph| {
            let shared = graph.parameter("shared.weight", outputs, inputs, Init::GlorotUniform);
            let shared_bias = graph.parameter("shared.bias", 1, outputs, Init::Zeros);
            let own = graph.parameter("specific.weight", scenarios * outputs, inputs, Init::NormalAround(1.0, 0.1));
            let own_bias = graph.parameter("specific.bias", 1, scenarios * outputs, Init::Zeros);
            let op = |sum| Star { scenarios, sum };
            let weight = graph.derived("weight", [scenarios * outputs, inputs], op(false), &[shared, own]);
            let bias = graph.derived("bias", [1, scenarios * outputs], op(true), &[shared_bias, own_bias]);
            Self { weight, bias, outputs, inputs }
        })
    }

    /// The layer on columns of one tensor from `from` on.
    pub fn on(self, layer: Which, x: TensorId, from: usize) -> Use {
        Use { stack: self, layer, inputs: vec![(x, from, self.inputs)] }
    }

    /// The own layer of each sample's scenario on x.
    pub fn own(self, graph: &mut Graph, name: &str, x: TensorId, epilogue: Epilogue) -> TensorId {
        stacked(graph, name, &[self.on(Which::OWN, x, 0)], epilogue)
    }
}

/// The results of layers side by side, in one node.
///
/// # Panics
/// When a layer's inputs are not as wide as its weights.
pub fn stacked(graph: &mut Graph, name: &str, uses: &[Use], epilogue: Epilogue) -> TensorId {
    let (mut parts, mut bias) = (Vec::new(), Vec::new());
    let mut to = 0;
    for Use { stack, layer, inputs } in uses {
        let width = stack.outputs;
        let (row, scenario_stride) = match *layer {
            Which::Number(number) => (number * width, 0),
            Which::Own { number, each } => (number * width, each * width),
        };
        let mut col = 0;
        for &(x, from, inner) in inputs {
            let source = PartSource::Product {
                x,
                from,
                inner,
                weight: stack.weight,
                row,
                col,
                transposed: false,
                scenario_stride,
            };
            parts.push(AffinePart { to, width, source });
            col += inner;
        }
        assert_eq!(col, stack.inputs, "{name}: width of the inputs");
        bias.push(BiasPart { to, width, bias: stack.bias, from: row, scenario_stride });
        to += width;
    }
    Draft { bias, epilogue, ..Draft::sum(to, parts) }.add(graph, name)
}
