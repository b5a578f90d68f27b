// What all gradients are multiplied by so that their norm is at most MOST: one workgroup, which adds up LENGTH groups of four
// partial sums of their squares.
#import loss_scale
#import uniforms
#import memory
const WORKGROUP: u32 = 256u;
const SUMS: u32 = 0u;
const LENGTH: u32 = 1u;
const FACTOR: u32 = 0u;
const MOST: f32 = 1.0;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
    var sum = vec4<f32>();
    for (var at = local; at < LENGTH; at += WORKGROUP) {
        sum += load4(SUMS + 4u * at);
    }
    sums[local] = sum;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            sums[local] += sums[local + half];
        }
    }
    if (local == 0u) {
        let total = sums[0];
        let norm = sqrt((total.x + total.y) + (total.z + total.w)) * unscale();
        let factor = MOST / (norm + 1e-6);
        // Where the norm is no number the gradients are not either, and the step is to show it.
        store4(FACTOR, vec4<f32>(select(factor, 1.0, factor > 1.0), 0.0, 0.0, 0.0));
    }
}
