// Multiplies one parameter, up to a limit.
#import grid
const PLACE: u32 = 0u;
const FACTOR: f32 = 1.0;
const MOST: f32 = 1.0;

@group(0) @binding(0) var<storage, read_write> parameters: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x == 0u) {
        parameters[PLACE] = min(parameters[PLACE] * FACTOR, MOST);
    }
}
