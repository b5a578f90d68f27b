// What a gradient becomes before an optimiser sees it.
#import loss_scale
#import unclipped
const L2: f32 = 0.0;

// The gradient at values w: clipped, and with L2.
fn whole_gradient(gradient: vec4<f32>, w: vec4<f32>) -> vec4<f32> {
    return clip_factor() * unscale() * gradient + L2 * w;
}
