// A sample's mixture of COUNT predictions: scores t and logits z, STRIDE values from row to row.
#import uniforms
#import grid
#import logistic
#import memory
const T: u32 = 0u;
const Z: u32 = 0u;
const STRIDE: u32 = 4u;
const Y: u32 = 0u;
const COUNT: u32 = 1u;

// log p and log(1 − p) of the mixture, up to a constant that both have.
fn mixed(row: u32) -> vec2<f32> {
    var most = vec2<f32>(-3.4e38);
    for (var j = 0u; j < COUNT; j += 1u) {
        most = max(most, part(row, j));
    }
    var sum = vec2<f32>();
    for (var j = 0u; j < COUNT; j += 1u) {
        sum += exp(part(row, j) - most);
    }
    return most + log(sum);
}

// The same of one prediction in it.
fn part(row: u32, j: u32) -> vec2<f32> {
    let z = load(Z + row * STRIDE + j);
    return load(T + row * STRIDE + j) - vec2<f32>(log1p_exp(-z), log1p_exp(z));
}
