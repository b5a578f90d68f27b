//! The models that papers on many scenarios compare theirs with. What they share lies in [`crate::layers`]; a file here
//! says what is particular to its model.

mod adasparse;
mod apg;
mod bst;
mod dcn;
mod deepfm;
mod din;
mod hmoe;
mod mmoe;
mod pepnet;
mod ple;
mod shared_bottom;
mod star;
mod wide_deep;

pub use adasparse::AdaSparse;
pub use apg::{Apg, Condition};
pub use bst::Bst;
pub use dcn::{Dcn, DcnV2};
pub use deepfm::DeepFm;
pub use din::Din;
pub use hmoe::Hmoe;
pub use mmoe::Mmoe;
pub use pepnet::PepNet;
pub use ple::Ple;
pub use shared_bottom::SharedBottom;
pub use star::Star;
pub use wide_deep::WideDeep;

use super::{
    Error, Inputs, Model, TOWER_SALT, check_network, is_number, options, predict_by, require, require_counts,
    require_not_negative, require_positive, require_sizes, scenario_graph,
};

/// Fails where a model of sequences has none to read.
fn require_sequences(name: &str, inputs: &Inputs) -> Result<(), Error> {
    require(!inputs.sequences.is_empty(), || {
        format!("{name} reads behaviour sequences, and the data has none; name its column in [[data.sequence]]")
    })
}
