// Adam on the embedding rows the batch read, as far as this shard holds them. One invocation per value of a row.
#import adam
#import clock
#import grid
#import shard
const WIDTH: u32 = 1u;
const COUNT: u32 = 0u;
const UNIQUE: u32 = 0u;

@group(0) @binding(0) var<storage, read_write> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> first: array<f32>;
@group(0) @binding(2) var<storage, read_write> second: array<f32>;
@group(0) @binding(3) var<storage, read> schedule: array<u32>;
@group(0) @binding(4) var<storage, read> gradients: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let start = invocation(id, groups);
    let unique = start / WIDTH;
    if (unique >= schedule[clock.base + COUNT]) {
        return;
    }
    let row = schedule[clock.base + UNIQUE + unique];
    if (!in_shard(row)) {
        return;
    }
    let at = (row - FIRST_ROW) * WIDTH + start % WIDTH;
    let updated = adam(gradients[start], weights[at], first[at], second[at]);
    weights[at] = updated.x;
    first[at] = updated.y;
    second[at] = updated.z;
}
