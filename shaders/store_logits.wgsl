// Copies a batch's logits to where its predictions belong.
#import clock
#import grid

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation(id, groups);
    if (row < clock.rows) {
        results[clock.first + row] = logits[row];
    }
}
