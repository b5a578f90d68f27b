//! One file per model; each reads like its section of the paper.
//!
//! To add one: write its file here, an options struct that implements [`Model`], and add a line to the list below.

mod dnn;
mod inputs;
mod mi_dpg;
mod optmsm;
mod saml;

pub use dnn::Dnn;
pub use inputs::{Inputs, SequenceInput};
pub use mi_dpg::{MiDpg, MirNegatives, MirReduce};
pub use optmsm::{OptMsm, Transfer};
pub use saml::{Saml, Specific, Without};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::graph::Graph;

/// A model cannot be built from its options.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("[model] {0}")]
pub struct Error(pub String);

/// A model's options, read from `[model]`; [`Default`] holds their defaults.
pub trait Model: Default + Serialize + DeserializeOwned + 'static {
    /// The name by which `model.name` asks for it.
    const NAME: &'static str;
    /// The model in one line.
    const SUMMARY: &'static str;
    /// Each option's name and meaning.
    const OPTIONS: &'static [(&'static str, &'static str)];

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

/// What is done with a model once its name is known.
pub trait Visitor {
    /// What comes of it.
    type Output;
    /// Called with the model's type.
    fn visit<M: Model>(self) -> Self::Output;
}

macro_rules! models {
    ($($model:ty),* $(,)?) => {
        /// Names of all models.
        pub const NAMES: &[&str] = &[$(<$model>::NAME),*];

        /// Calls `visitor` with the model called `name`; `None` when there is none.
        pub fn visit<V: Visitor>(name: &str, visitor: V) -> Option<V::Output> {
            $(if name == <$model>::NAME {
                return Some(visitor.visit::<$model>());
            })*
            None
        }
    };
}

models![Dnn, MiDpg, OptMsm, Saml];

/// Fails unless `condition` holds.
fn require(condition: bool, message: impl FnOnce() -> String) -> Result<(), Error> {
    if condition { Ok(()) } else { Err(Error(message())) }
}

/// Checks options that all networks share.
fn check_network(width: usize, hidden: &[usize], dropout: f64) -> Result<(), Error> {
    require(width > 0, || "width is 0; expected the length of an embedding, such as 16".to_owned())?;
    require(hidden.iter().all(|&size| size > 0), || {
        "hidden has a layer of 0; expected sizes such as [128, 64, 32]".to_owned()
    })?;
    require((0.0..1.0).contains(&dropout), || format!("dropout is {dropout}; expected a number from 0 to below 1"))
}
