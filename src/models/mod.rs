//! One file per model; each reads like its section of the paper.
