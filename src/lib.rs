//! polyscene trains multi-scenario click and conversion models on any GPU, or on none.
//!
//! ```
//! use polyscene::{Config, DeviceChoice, Run, SplitName, Trainer};
//!
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! let config = Config::from_toml(
//!     r#"
//!     [data]                       # which columns mean what
//!     path = "clicks.parquet"
//!     label = "label"
//!     scenario = "scenario"
//!     aware = ["scenario", "channel"]
//!     agnostic = ["user_id", "item_id", "category"]
//!
//!     [synth]                      # and how to make them up, for want of better
//!     rows = 2_000
//!
//!     [model]
//!     name = "mi-dpg"
//!     hidden = [16, 8]
//!
//!     [train]
//!     epochs = 1
//!     "#,
//!     "example.toml",
//!     &[],
//! )?;
//! let trained = Trainer::new(config).device(DeviceChoice::Cpu).folder("runs/example").train()?;
//! let result = trained.result.expect("nobody interrupted it");
//! assert!(result.test.logloss.is_some_and(|logloss| logloss < 1.0));
//!
//! let mut run = Run::open("runs/example")?;
//! let again = run.evaluate(SplitName::Test, &mut |_| ())?;
//! assert_eq!(again.metrics.rows, result.test.rows);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! [`Config`] says what is to be trained, [`Trainer`] trains it, [`Run`] is what came of it; [`app`] has what else the
//! program does. [`models::register`] adds a model of your own, written with [`layers`].
//!
//! Below that, a model is a [`graph`] of operations ([`ops`]); a [`plan`] is that graph differentiated and laid out as one
//! fixed list of dispatches; an executor replays the plan on a GPU or on the CPU. `docs/architecture.md` shows the floors of
//! the house; a module imports only from floors below its own.
//!
//! # Features
//!
//! | feature | on by default | what it adds |
//! |---|---|---|
//! | `cli` | yes | [`cli`], which is the `polyscene` program |
//! | `report` | yes | [`report`], comparisons ([`app::compare`]), and a page for each run |
//!
//! Without them the engine alone is built: training, evaluation, prediction.
//!
//! # Stability
//!
//! This is a version 0: anything may change with the second number of the version, as Cargo has it. What is re-exported
//! here, [`app`], [`config`], [`models`] and [`layers`] changes as little as can be, and with a line in the changelog.
//! [`graph`], [`ops`], [`plan`], [`gpu`], [`cpu`], [`data`], [`train`], [`report`] and [`mod@bench`] are open to be read and
//! measured; they change as the engine needs.

pub mod app;
pub mod bench;
pub mod check;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod cpu;
pub mod data;
pub mod gpu;
pub mod graph;
pub mod layers;
pub mod models;
pub mod onnx;
pub mod ops;
pub mod plan;
#[cfg(feature = "report")]
pub mod report;
pub mod train;
pub mod tune;

pub use app::{Event, OutFile, Prediction, Run, RunOptions, Trained, Trainer};
pub use config::{Config, ConfigError};
pub use data::SplitName;
pub use gpu::DeviceChoice;
pub use models::Model;
pub use train::{Ending, Error};
