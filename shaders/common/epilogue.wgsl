#import clock
#import logistic
#import random
// What a product does to its result before storing it: 0 none, 1 ReLU, 2 sigmoid; then dropout.
const ACTIVATION: u32 = 0u;
const DROPOUT: f32 = 0.0;
const DROPOUT_SALT: u32 = 0u;

fn activate(x: f32) -> f32 {
    if (ACTIVATION == 1u) {
        return max(x, 0.0);
    }
    if (ACTIVATION == 2u) {
        return sigmoid(x);
    }
    return x;
}

// The stored value of x, `index` being its place in the tensor.
fn epilogue(x: f32, index: u32) -> f32 {
    let y = activate(x);
    if (DROPOUT == 0.0) {
        return y;
    }
    let dropped = uniform_number(clock.seed, clock.step, DROPOUT_SALT, index) < DROPOUT;
    return select(y * (1.0 / (1.0 - DROPOUT)), 0.0, dropped);
}
