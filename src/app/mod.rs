//! What the program does, without a command line: training and resuming ([`Trainer`]), a trained model and what can be
//! done with it ([`Run`]: evaluate, predict, analyse; [`mod@export`] and [`embeddings`] for other programs), many runs of one question
//! ([`compare`]), and files made ready ([`history`], [`prepare`]); which devices have been checked ([`checked`]), and which
//! kernels they are fastest with ([`tuned`]).
//!
//! Each is a function of a configuration or a folder, and of an observer that is called with every [`Event`]: what was
//! left out, how far the work is, what was written. Nothing here prints, reads arguments or catches signals.
//!
//! *Stability*: what `examples/` use stays; events may be added.

mod analyze;
pub mod checked;
#[cfg(feature = "report")]
pub mod compare;
pub mod embeddings;
mod evaluate;
mod event;
pub mod export;
pub mod history;
mod importance;
mod open;
mod predict;
pub mod prepare;
mod pretrained;
mod run;
mod starting;
mod table_file;
mod tables;
mod train;
pub mod tuned;
mod unknown;
mod user_cache;

pub use evaluate::{BootstrapOptions, BootstrapReport, Detail, EvaluatedSlice, EvaluatedSlices, Evaluation};
pub use event::{Event, Observer};
pub use open::{Opened, open_config, open_options};
pub use predict::{Predicted, Prediction};
pub use run::{NewData, Run, RunOptions};
pub use starting::StartingRun;
pub use table_file::{FileKind, OutFile};
pub use tables::TrainingTables;
pub use train::{Trained, Trainer};
pub use tuned::TuningChoice;
