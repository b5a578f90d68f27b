// Gradient descent on all dense parameters. One invocation per four values.
#import gradient
#import uniforms
#import pieces
#import dense_values

fn piece(at: u32) {
    if (at >= LENGTH) {
        return;
    }
    let w = weights[at];
    weights[at] = w - uniforms.learning_rate * whole_gradient(gathered(at), w);
}
