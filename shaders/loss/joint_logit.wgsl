// t = −log(e⁻ᵃ + e⁻ᵇ + e⁻ᵃ⁻ᵇ), the logit of σ(a) σ(b). One invocation per sample.
#import uniforms
#import pieces
#import memory
#import joint
const A: u32 = 0u;
const A_STRIDE: u32 = 4u;
const B: u32 = 0u;
const B_STRIDE: u32 = 4u;
const T: u32 = 0u;
const T_STRIDE: u32 = 4u;

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let terms = joint_terms(load(A + row * A_STRIDE), load(B + row * B_STRIDE));
    store4(T + row * T_STRIDE, vec4<f32>(-(terms.w + log(terms.x + terms.y + terms.z)), 0.0, 0.0, 0.0));
}
