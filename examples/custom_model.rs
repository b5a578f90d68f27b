//! A model of one's own, written outside the crate, in the whole command line: `train`, `compare`, `plan`, `models` ...
//!
//!     cargo run --release --example custom_model -- train examples/synthetic.toml --set model.name=skip-net

use std::process::ExitCode;

use polyscene::graph::Graph;
use polyscene::layers::{Linear, gated, hidden_layers};
use polyscene::models::{Error, Inputs, Model, check_network, predict_by, register, require_positive};
use polyscene::ops::{Activation, Affine};

polyscene::model_options! {
    /// An MLP whose embeddings are gated by the scenario-aware fields and skip every hidden layer.
    SkipNet {
        network;
        gate_hidden: usize = 32, "hidden width of the net that makes the gate";
    }
}

impl Model for SkipNet {
    const NAME: &'static str = "skip-net";
    const SUMMARY: &'static str = "MLP with gated embeddings that also go to the last layer directly";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[("gate_hidden", self.gate_hidden)])?;
        let mut graph = Graph::new();
        let embeddings = inputs.embed(&mut graph, self.width)?;
        let aware = inputs.aware(&mut graph, &embeddings, Self::NAME)?;
        let x = gated(&mut graph, "gate", embeddings.all, aware, self.gate_hidden);
        let deep = hidden_layers(&mut graph, "mlp", x, &self.hidden, self.dropout);
        let both = Affine::concat(&mut graph, "skip", &[deep.last().copied().unwrap_or(x), x]);
        let logits = Linear::new(1, Activation::None).add(&mut graph, "logit", both);
        predict_by(&mut graph, logits);
        Ok(graph)
    }
}

fn main() -> ExitCode {
    match register::<SkipNet>() {
        Ok(()) => polyscene::cli::run(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
