//! Adapters, devices, shaders, pipelines and buffers: all that speaks to wgpu, and nothing of models or plans.
//!
//! The order of a run: [`select()`] turns a [`DeviceChoice`] into an adapter, [`Gpu::open`] opens it, a
//! [`shader::ShaderSource`] is expanded to a [`Shader`], [`PipelineCache`] builds its [`Pipeline`], and [`buffer`] makes
//! what the bind groups point at. [`Readback`] and [`Upload`] carry data while steps run; [`timing`] says where the
//! time went.
//!
//! Nothing here panics because a machine has no adapter, a shader has a fault or a device is lost: those are
//! [`Error`]s that say what to do.

pub mod adapters;
mod barriers;
pub mod buffer;
pub mod device;
mod error;
pub mod pipeline;
pub mod readback;
pub mod reflect;
pub mod select;
pub mod shader;
#[doc(hidden)]
pub mod testing;
pub mod timing;
pub mod upload;

pub use adapters::{AdapterKind, AdapterLimits, AdapterSummary};
pub use device::{DeviceClass, Gpu, OpenOptions};
pub(crate) use error::human;
pub use error::{Error, Result};
pub use pipeline::{Pipeline, PipelineCache};
pub use readback::{Readback, Reading};
pub use reflect::{Binding, BindingKind, Reflection, StructLayout};
pub use select::{DeviceChoice, Selection, select};
pub use shader::{Constant, Shader, ShaderSource};
pub use timing::Timer;
pub use upload::{Piece, Upload};
