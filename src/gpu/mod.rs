//! Adapters, devices, shaders, pipelines and buffers: all that speaks to wgpu.
