// Adam's constants and update; ε stands outside the bias correction, which is part of clock.learning_rate.
#import clock
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;
const L2: f32 = 0.0;

// New value, first and second moment.
fn adam(gradient: f32, w: f32, m: f32, v: f32) -> vec3<f32> {
    let g = gradient + L2 * w;
    let first = BETA1 * m + (1.0 - BETA1) * g;
    let second = BETA2 * v + (1.0 - BETA2) * g * g;
    return vec3<f32>(w - clock.learning_rate * first / (sqrt(second) + EPSILON), first, second);
}
