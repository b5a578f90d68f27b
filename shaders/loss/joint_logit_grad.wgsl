// The gradients of t = −log(e⁻ᵃ + e⁻ᵇ + e⁻ᵃ⁻ᵇ) by a and b, times dt. One invocation per sample.
#import uniforms
#import pieces
#import memory
#import joint
const A: u32 = 0u;
const A_STRIDE: u32 = 4u;
const B: u32 = 0u;
const B_STRIDE: u32 = 4u;
const DT: u32 = 0u;
const DT_STRIDE: u32 = 4u;
const DA: u32 = 0u;
const DB: u32 = 0u;

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let terms = joint_terms(load(A + row * A_STRIDE), load(B + row * B_STRIDE));
    let slope = load(DT + row * DT_STRIDE) / (terms.x + terms.y + terms.z);
    store4(DA + row * A_STRIDE, vec4<f32>(slope * (terms.x + terms.z), 0.0, 0.0, 0.0));
    store4(DB + row * B_STRIDE, vec4<f32>(slope * (terms.y + terms.z), 0.0, 0.0, 0.0));
}
