//! Adapters, devices, shaders, pipelines and buffers: all that speaks to wgpu, and nothing of models or plans.
//!
//! The order of a run: [`select()`] turns a [`DeviceChoice`] into an adapter, [`Gpu::open`] opens it, a
//! [`ShaderSource`] is expanded to a [`Shader`], `PipelineCache` builds its `Pipeline`, and `buffer` makes what the bind
//! groups point at. `Readback` and `Upload` carry data while steps run; `timing` says where the time went. wgpu's own types
//! stay inside the crate.
//!
//! Nothing here panics because a machine has no adapter, a shader has a fault or a device is lost: those are
//! [`Error`]s that say what to do.
//!
//! *Stability*: [`DeviceChoice`], [`select()`] and [`Gpu::open`] stay; the rest serves executors and changes with them.

pub mod adapters;
mod barriers;
pub(crate) mod buffer;
pub(crate) mod compose;
pub mod device;
mod error;
pub(crate) mod pipeline;
pub(crate) mod readback;
pub mod reflect;
pub mod select;
pub mod shader;
mod stored;
#[doc(hidden)]
pub mod testing;
pub(crate) mod timing;
pub(crate) mod upload;

pub use adapters::{Adapter, AdapterKind, AdapterLimits, AdapterSummary, Vendor};
pub use device::{DeviceClass, Gpu, OpenOptions};
pub(crate) use error::human;
pub use error::{Error, Result};
pub(crate) use pipeline::{Pipeline, PipelineCache};
pub(crate) use readback::Readback;
pub use reflect::{Binding, BindingKind, Reflection, StructLayout};
pub use select::{DeviceChoice, Selection, select};
pub use shader::{Constant, Shader, ShaderSource};
pub(crate) use timing::Timer;
pub(crate) use upload::{Piece, Upload};
