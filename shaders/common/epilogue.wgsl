#import uniforms
#import logistic
#import random
// What a product does to its result before storing it.

// Slope of the leaky ReLU below 0.
const LEAK: f32 = 0.01;

// 0 identity, 1 ReLU, 2 sigmoid, 3 leaky ReLU.
fn activate(x: vec4<f32>, activation: u32) -> vec4<f32> {
    var y = x;
    if (activation == 1u) {
        y = max(x, vec4<f32>());
    } else if (activation == 2u) {
        y = sigmoid4(x);
    } else if (activation == 3u) {
        y = max(x, LEAK * x);
    }
    return y;
}

// Activation and dropout of four neighbours; `index` is the first one's place in a tensor without padding.
fn epilogue(x: vec4<f32>, activation: u32, dropout: f32, salt: u32, index: u32) -> vec4<f32> {
    var y = activate(x, activation);
    if (dropout > 0.0) {
        y *= 1.0 / (1.0 - dropout);
        for (var i = 0u; i < 4u; i += 1u) {
            if (uniform_number(uniforms.seed, uniforms.step, salt, index + i) < dropout) {
                y[i] = 0.0;
            }
        }
    }
    return y;
}
