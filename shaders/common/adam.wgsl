// Adam's constants and update; ε stands outside the bias correction, which is part of the rate.
#import gradient
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

struct Moments {
    first: vec4<f32>,
    second: vec4<f32>,
}

// The moments after a gradient at values w; m and v are those before.
fn moments(gradient: vec4<f32>, w: vec4<f32>, m: vec4<f32>, v: vec4<f32>) -> Moments {
    let g = whole_gradient(gradient, w);
    return Moments(BETA1 * m + (1.0 - BETA1) * g, BETA2 * v + (1.0 - BETA2) * g * g);
}

// What the values lose at a learning rate.
fn step_of(m: Moments, rate: f32) -> vec4<f32> {
    return rate * m.first / (sqrt(m.second) + EPSILON);
}
