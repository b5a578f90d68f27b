//! A run as it is kept: its folder and lock, checkpoints, event files, its result.

pub mod checkpoint;
pub mod epoch;
pub mod folder;
pub mod growth;
pub mod lock;
pub mod result;
pub mod tensorboard;
