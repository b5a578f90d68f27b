// Adam on all dense parameters. The gradient is the sum of PARTS copies, in order, and is left in the first. One
// invocation per four values.
#import adam
#import uniforms
#import pieces
const PARTS: u32 = 1u;
// Groups of four that are trained, the first ones, and in one copy.
const LENGTH: u32 = 1u;
const COPY: u32 = 1u;

@group(0) @binding(0) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> second: array<vec4<f32>>;

fn piece(at: u32) {
    if (at >= LENGTH) {
        return;
    }
    var gradient = gradients[at];
    if (PARTS > 1u) {
        for (var part = 1u; part < PARTS; part += 1u) {
            gradient += gradients[part * COPY + at];
        }
        gradients[at] = gradient;
    }
    let w = weights[at];
    let m = moments(gradient, w, first[at], second[at]);
    weights[at] = w - step_of(m, uniforms.learning_rate);
    first[at] = m.first;
    second[at] = m.second;
}
