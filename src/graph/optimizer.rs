//! Which optimiser moves a value, and what it keeps beside the value.

use serde::{Deserialize, Serialize};

/// How values move against their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// By the first moment over the root of the second (Kingma and Ba 2015). Two numbers are kept of each value.
    #[default]
    Adam,
    /// By the gradient over the root of the sum of all squared gradients (Duchi et al. 2011). One number is kept of each value.
    Adagrad,
    /// Adagrad with one sum for each row of a table, that of its gradients' mean squares (Mudigere et al. 2022, "Software-Hardware
    /// Co-design for Fast and Scalable Training of Deep Learning Recommendation Models", section 4.1.3).
    RowwiseAdagrad,
    /// By the gradient. Nothing is kept.
    Sgd,
}

impl Optimizer {
    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Adagrad => "adagrad",
            Self::RowwiseAdagrad => "rowwise-adagrad",
            Self::Sgd => "sgd",
        }
    }

    /// The optimiser of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Adam, Self::Adagrad, Self::RowwiseAdagrad, Self::Sgd].into_iter().find(|known| known.name() == name)
    }

    /// How many numbers are kept of each row of `width` values: of first moments, and of second moments or sums of squares.
    pub const fn kept(self, width: usize) -> [usize; 2] {
        match self {
            Self::Adam => [width, width],
            Self::Adagrad => [0, width],
            Self::RowwiseAdagrad => [0, 1],
            Self::Sgd => [0, 0],
        }
    }
}
