//! Parts of a node's inputs: column ranges, and which sample's row they are read from.

/// Which sample's row is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowMap {
    /// The same sample's.
    #[default]
    Same,
    /// That of sample π(b).
    Shuffled,
    /// That of the sample which π sends here: the gradient of `Shuffled`.
    Unshuffled,
}

impl RowMap {
    /// The map that undoes this one.
    pub fn inverse(self) -> Self {
        match self {
            Self::Same => Self::Same,
            Self::Shuffled => Self::Unshuffled,
            Self::Unshuffled => Self::Shuffled,
        }
    }

    /// Reading by `self` what was read by `inner`; `None` where that is neither π nor its inverse.
    pub fn then(self, inner: Self) -> Option<Self> {
        match (self, inner) {
            (Self::Same, rows) | (rows, Self::Same) => Some(rows),
            (Self::Shuffled, Self::Unshuffled) | (Self::Unshuffled, Self::Shuffled) => Some(Self::Same),
            _ => None,
        }
    }
}

/// Columns `from..` of input number `input`, as many as its reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Which of the node's inputs.
    pub input: usize,
    /// First column.
    pub from: usize,
    /// Which row.
    pub rows: RowMap,
}

impl View {
    /// Input number `input` from its first column on.
    pub fn of(input: usize) -> Self {
        Self { input, from: 0, rows: RowMap::Same }
    }

    /// The same, `columns` further to the right.
    #[must_use]
    pub fn shifted(self, columns: usize) -> Self {
        Self { from: self.from + columns, ..self }
    }
}

/// The gradient of an activation, computed from its stored output y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ActivationGrad {
    /// ReLU and dropout: `scale` = 1/(1 − p) where y is positive, 0 elsewhere.
    Relu {
        /// Factor of the kept values.
        scale: f64,
    },
    /// y (1 − y).
    Sigmoid,
    /// Leaky ReLU: 1 where y is positive, its slope elsewhere.
    LeakyRelu,
}
