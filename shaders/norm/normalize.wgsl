// y = x̂ ⊙ scale + shift, all by the sample's scenario. One invocation per four values.
#import normal
const SCALES: u32 = 0u;
const SHIFTS: u32 = 0u;
const Y: u32 = 0u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const ACROSS = STRIDE / 4u;
    let at = invocation(id, groups);
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let place = scenario_of(row) * STRIDE + col;
    let y = normal(row, col, place) * parameters[(SCALES + place) / 4u] + parameters[(SHIFTS + place) / 4u];
    store4(Y + row * STRIDE + col, y);
}
