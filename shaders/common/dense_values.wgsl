// The dense parameters and their gradients, four values at a time. A gradient is the sum of PARTS copies.
const PARTS: u32 = 1u;
// Groups of four that are trained, the first ones, and in one copy.
const LENGTH: u32 = 1u;
const COPY: u32 = 1u;

@group(0) @binding(3) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> weights: array<vec4<f32>>;

// The sum of the copies, in order, which is left in the first.
fn gathered(at: u32) -> vec4<f32> {
    var gradient = gradients[at];
    if (PARTS > 1u) {
        for (var part = 1u; part < PARTS; part += 1u) {
            gradient += gradients[part * COPY + at];
        }
        gradients[at] = gradient;
    }
    return gradient;
}
