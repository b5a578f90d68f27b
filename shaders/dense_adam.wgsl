// Adam on all dense parameters. One invocation per value.
#import adam
#import clock
#import grid

@group(0) @binding(0) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    if (at >= arrayLength(&weights)) {
        return;
    }
    let updated = adam(gradients[at], weights[at], first[at], second[at]);
    weights[at] = updated.x;
    first[at] = updated.y;
    second[at] = updated.z;
}
