//! Configuration, the training loop, early stopping, checkpoints and metrics.
