// Copies a batch's logits to where its predictions belong. One invocation per sample.
#import uniforms
#import grid
#import memory
const LOGITS: u32 = 0u;
const STRIDE: u32 = 4u;

@group(0) @binding(3) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation(id, groups);
    if (row < uniforms.rows) {
        results[uniforms.first_result + row] = load(LOGITS + row * STRIDE);
    }
}
