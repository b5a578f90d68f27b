//! Dense layers and stacks of them.

use crate::graph::{Graph, Init, TensorId};
use crate::ops::{Activation, Affine, Epilogue};

/// How a dense layer is made.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Outputs.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Activation and dropout.
    pub epilogue: Epilogue,
}

impl Linear {
    /// A layer with bias.
    pub fn new(outputs: usize, activation: Activation) -> Self {
        Self { outputs, bias: true, epilogue: Epilogue::new(activation) }
    }

    /// Adds the layer on x as `name`, with parameters `name.weight` and `name.bias`.
    pub fn add(self, graph: &mut Graph, name: &str, x: TensorId) -> TensorId {
        let inputs = graph.width(x);
        graph.scoped(name, |graph| {
            let weight = graph.parameter("weight", self.outputs, inputs, Init::GlorotUniform);
            let bias = self.bias.then(|| graph.parameter("bias", 1, self.outputs, Init::Zeros));
            Affine::dense(graph, "", x, weight, bias, self.epilogue)
        })
    }
}

/// A stack of dense layers `name.0`, `name.1`, … : ReLU and dropout after each of `hidden`, then a last layer.
pub fn mlp(graph: &mut Graph, name: &str, x: TensorId, hidden: &[usize], dropout: f64, last: Linear) -> TensorId {
    let h = hidden_layers(graph, name, x, hidden, dropout).last().copied().unwrap_or(x);
    last.add(graph, &format!("{name}.{}", hidden.len()), h)
}

/// The layers of such a stack without the last: what each makes.
pub fn hidden_layers(graph: &mut Graph, name: &str, x: TensorId, hidden: &[usize], dropout: f64) -> Vec<TensorId> {
    let mut h = x;
    let layers = hidden.iter().enumerate().map(|(l, &size)| {
        let layer = Linear { epilogue: hidden_epilogue(dropout, l), ..Linear::new(size, Activation::Relu) };
        h = layer.add(graph, &format!("{name}.{l}"), h);
        h
    });
    layers.collect()
}

/// Outputs and epilogue of each layer of a network that ends in a logit: ReLU and dropout after each of `hidden`, whose
/// masks are those of layers from `salt` on.
pub fn layers_to_logit(hidden: &[usize], dropout: f64, salt: usize) -> impl Iterator<Item = (usize, Epilogue)> {
    let of_hidden = hidden.iter().enumerate().map(move |(l, &size)| (size, hidden_epilogue(dropout, salt + l)));
    of_hidden.chain([(1, Epilogue::default())])
}

/// x, through which no gradient flows.
pub fn stop_gradient(graph: &mut Graph, name: &str, x: TensorId) -> TensorId {
    let copy = Affine::concat(graph, name, &[x]);
    graph.stop_gradient(copy, x);
    copy
}

/// ReLU and dropout after the hidden layer number `layer` of a stack; each has masks of its own.
pub fn hidden_epilogue(dropout: f64, layer: usize) -> Epilogue {
    Epilogue { activation: Activation::Relu, dropout, salt: layer as u32, shared_mask: 1 }
}
