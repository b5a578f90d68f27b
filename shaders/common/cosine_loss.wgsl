// VECTORS vectors of a sample, and what of their cosines is a loss.
const R: u32 = 0u;
const R_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
const VECTORS: u32 = 2u;
const WIDTH: u32 = 1u;
// What is summed of a cosine: 0 itself, 1 its absolute value, 2 its square.
const FORM: u32 = 0u;
const WEIGHT: f32 = 1.0;
const SHORTEST: f32 = 1e-6;

@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
