// Partial sums of the squares of all dense gradients. A gradient is the sum of COPIES copies, which is left in the first.
// Invocation i sums the groups of four i, i + PARTS, i + 2 PARTS, ...
#import uniforms
#import grid
#import memory
const SUMS: u32 = 0u;
const PARTS: u32 = 1u;
// Groups of four that are trained, the first ones, and in one copy.
const LENGTH: u32 = 1u;
const COPIES: u32 = 1u;
const COPY: u32 = 1u;

@group(0) @binding(3) var<storage, read_write> gradients: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let part = invocation(id, groups);
    if (part >= PARTS) {
        return;
    }
    var sum = vec4<f32>();
    for (var at = part; at < LENGTH; at += PARTS) {
        var gradient = gradients[at];
        if (COPIES > 1u) {
            for (var copy = 1u; copy < COPIES; copy += 1u) {
                gradient += gradients[copy * COPY + at];
            }
            gradients[at] = gradient;
        }
        sum += gradient * gradient;
    }
    store4(SUMS + 4u * part, sum);
}
