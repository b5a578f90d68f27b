//! The graph a model is written in: tensors, parameters and the operations between them.
