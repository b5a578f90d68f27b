// y[j] = Σ x[b, j], samples in order. One invocation per column.
#import clock
#import grid
const WIDTH: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let col = invocation(id, groups);
    if (col >= WIDTH) {
        return;
    }
    var sum = 0.0;
    for (var sample = 0u; sample < clock.rows; sample += 1u) {
        sum += x[sample * WIDTH + col];
    }
    y[col] = sum;
}
