//! One file per model; each reads like its section of the paper.
//!
//! To add one here: write its file, options that implement [`Model`], and add a line to the list in `registry.rs`. Models
//! that papers compare theirs with are in `baselines/`. Another crate adds its own with [`register`].
//!
//! *Stability*: [`Model`], [`Inputs`], [`register`] and the names of options stay.

mod baselines;
mod dnn;
mod entire_space;
mod inputs;
mod mi_dpg;
mod options;
mod optmsm;
mod registry;
mod saml;

pub use baselines::*;
pub use dnn::Dnn;
pub use entire_space::{CLICK_HEAD, CONVERSION_HEAD, entire_space};
pub use inputs::{Inputs, SequenceInput, Sharing};
pub use mi_dpg::{MiDpg, MirInput, MirNegatives, MirReduce};
pub use options::{Options, check_sizes};
pub use optmsm::{OptMsm, Transfer};
pub use registry::{AnyModel, ModelEntry, all, find, names, register};
pub use saml::{Saml, Specific, Without};

use options::options;

use crate::graph::{Graph, TensorId};
use crate::layers::cross_entropy;

/// A model cannot be built from its options.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("[model] {0}")]
pub struct Error(pub String);

/// A model, as its options describe it.
pub trait Model: Options {
    /// The name by which `model.name` asks for it.
    const NAME: &'static str;
    /// The model in one line.
    const SUMMARY: &'static str;
    /// Whether it cannot do without behaviour sequences.
    const NEEDS_SEQUENCES: bool = false;

    /// The model as a graph that ends in logits and losses.
    ///
    /// # Errors
    /// When the options do not fit each other or the inputs.
    fn build(&self, inputs: &Inputs) -> Result<Graph, Error>;

    /// The same model where nothing but its logits is wanted: the same parameters in the same order, perhaps with less
    /// to compute.
    ///
    /// # Errors
    /// As for [`Model::build`].
    fn build_prediction(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.build(inputs)
    }

    /// How the permutation π is drawn, for models that pair samples with others of their batch.
    fn negatives(&self) -> Option<MirNegatives> {
        None
    }
}

/// The plain network and the three systems: what benchmarks run by default.
pub const SYSTEMS: &[&str] = &[Dnn::NAME, MiDpg::NAME, OptMsm::NAME, Saml::NAME];

/// Fails unless `condition` holds.
pub fn require(condition: bool, message: impl FnOnce() -> String) -> Result<(), Error> {
    if condition { Ok(()) } else { Err(Error(message())) }
}

/// Whether an option is a number in single precision, in which devices compute.
fn is_number(value: f64) -> bool {
    (value as f32).is_finite()
}

/// Dropout masks of towers' layers differ from those of the layers below.
const TOWER_SALT: usize = 64;

/// The name of the loss by which a model's predictions learn, among its losses.
pub const CROSS_ENTROPY: &str = "bce";

/// The model's prediction, and the cross entropy by which it learns.
pub fn predict_by(graph: &mut Graph, logits: TensorId) {
    graph.logits = Some(logits);
    cross_entropy(graph, CROSS_ENTROPY, logits);
}

/// A graph with parts for each scenario of the data.
pub fn scenario_graph(inputs: &Inputs) -> Graph {
    let mut graph = Graph::new();
    graph.scenarios = inputs.scenarios;
    graph
}

/// Fails where one of these options is 0.
pub fn require_positive(options: &[(&str, usize)]) -> Result<(), Error> {
    options.iter().try_for_each(|&(name, value)| {
        require(value > 0, || format!("{name} is 0; expected a whole number of at least 1"))
    })
}

/// Parts of a kind at most: each is a node of the graph, or several.
const MAX_PARTS: usize = 100;

/// Fails where one of these options, each how many parts of a kind there are, is 0 or absurd.
pub fn require_counts(options: &[(&str, usize)]) -> Result<(), Error> {
    options.iter().try_for_each(|&(name, value)| {
        require((1..=MAX_PARTS).contains(&value), || {
            format!("{name} is {value}; expected a whole number from 1 to {MAX_PARTS}")
        })
    })
}

/// Fails where an option is below 0 or no number.
pub fn require_not_negative(name: &str, value: f64) -> Result<(), Error> {
    require(value >= 0.0 && is_number(value), || format!("{name} is {value}; expected a number of at least 0"))
}

/// Fails where a layer has no units.
pub fn require_sizes(name: &str, sizes: &[usize]) -> Result<(), Error> {
    require(sizes.iter().all(|&size| size > 0), || {
        format!("{name} has a layer of 0; expected sizes such as [128, 64, 32]")
    })
}

/// Checks options that all networks share.
///
/// # Errors
/// Names the one that does not fit.
pub fn check_network(width: usize, hidden: &[usize], dropout: f64) -> Result<(), Error> {
    require(width > 0, || "width is 0; expected the length of an embedding, such as 16".to_owned())?;
    require_sizes("hidden", hidden)?;
    require((0.0..1.0).contains(&dropout), || format!("dropout is {dropout}; expected a number from 0 to below 1"))
}
