// Partial sums of the squares of the gradients of the embedding rows that the batch read. Invocation i sums the groups of four
// i, i + PARTS, i + 2 PARTS, ...
#import uniforms
#import grid
#import memory
const SUMS: u32 = 0u;
const PARTS: u32 = 1u;
const GRADIENT: u32 = 0u;
// Groups of four in a row.
const QUADS: u32 = 1u;
const COUNT: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let part = invocation(id, groups);
    if (part >= PARTS) {
        return;
    }
    var sum = vec4<f32>();
    let end = batches[uniforms.batch_offset + COUNT] * QUADS;
    for (var at = part; at < end; at += PARTS) {
        let gradient = load4(GRADIENT + 4u * at);
        sum += gradient * gradient;
    }
    store4(SUMS + 4u * part, sum);
}
