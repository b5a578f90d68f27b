// Adam on all dense parameters. One invocation per four values.
#import adam
#import uniforms
#import pieces
#import dense_values

@group(0) @binding(5) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> second: array<vec4<f32>>;

fn piece(at: u32) {
    if (at >= LENGTH) {
        return;
    }
    let w = weights[at];
    let m = moments(gathered(at), w, first[at], second[at]);
    weights[at] = w - step_of(m, uniforms.learning_rate);
    first[at] = m.first;
    second[at] = m.second;
}
