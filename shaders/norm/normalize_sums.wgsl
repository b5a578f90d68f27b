// Sums over each scenario's samples of dy ⊙ x̂ and of dy. One invocation per scenario and four columns.
#import normal
const DY: u32 = 0u;
const BY_X: u32 = 0u;
const PLAIN: u32 = 0u;

@group(0) @binding(5) var<storage, read_write> gradients: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = invocation(id, groups) * 4u;
    let scenario = place / STRIDE;
    if (scenario >= COUNT) {
        return;
    }
    let col = place % STRIDE;
    var by_x = vec4<f32>();
    var plain = vec4<f32>();
    for (var row = 0u; row < uniforms.rows; row += 1u) {
        if (scenario_of(row) == scenario) {
            let dy = load4(DY + row * STRIDE + col);
            plain += dy;
            by_x += dy * normal(row, col, place);
        }
    }
    gradients[(BY_X + place) / 4u] = by_x;
    gradients[(PLAIN + place) / 4u] = plain;
}
