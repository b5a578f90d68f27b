// The gradient of v through the factors π = β σ(α v) that are not 0: d α π (1 − π / β). One invocation per four values.
#import uniforms
#import grid
#import memory
const D: u32 = 0u;
const FACTORS: u32 = 0u;
const Y: u32 = 0u;
const STRIDE: u32 = 4u;
const ALPHA: u32 = 0u;
const MOST: f32 = 2.0;

@group(0) @binding(3) var<storage, read> parameters: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const ACROSS = STRIDE / 4u;
    let at = invocation(id, groups);
    if (at / ACROSS >= uniforms.rows) {
        return;
    }
    let factor = load4(FACTORS + 4u * at);
    store4(Y + 4u * at, load4(D + 4u * at) * parameters[ALPHA] * factor * (1.0 - factor / MOST));
}
