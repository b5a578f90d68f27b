// Adagrad on all dense parameters. One invocation per four values.
#import adagrad
#import uniforms
#import pieces
#import dense_values

@group(0) @binding(5) var<storage, read_write> sums: array<vec4<f32>>;

fn piece(at: u32) {
    if (at >= LENGTH) {
        return;
    }
    let w = weights[at];
    let g = whole_gradient(gathered(at), w);
    let sum = sums[at] + g * g;
    weights[at] = w - step_of(g, sum, uniforms.learning_rate);
    sums[at] = sum;
}
