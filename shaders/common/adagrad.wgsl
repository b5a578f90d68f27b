// Adagrad's update.
#import gradient
const EPSILON: f32 = 1e-8;

// What values lose whose gradients' squares, this step's included, add up to `sum`, at a learning rate.
fn step_of(gradient: vec4<f32>, sum: vec4<f32>, rate: f32) -> vec4<f32> {
    return rate * gradient / (sqrt(sum) + EPSILON);
}
