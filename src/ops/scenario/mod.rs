//! Parts of a model that each scenario has of its own, mixtures of experts among them.

pub(super) mod label_mixture;
pub(super) mod mixture;
pub(super) mod mutual;
pub(super) mod routes;
pub(super) mod select;
pub(super) mod star;

pub use label_mixture::{LabelMixture, LabelMixtureGrad};
pub use mixture::{Mixture, MixtureGrad};
pub use mutual::{Alpha, Mutual, MutualGrad};
pub use routes::{Routes, first_lanes};
pub use select::{Select, SelectGrad};
pub use star::{Star, StarGrad};
