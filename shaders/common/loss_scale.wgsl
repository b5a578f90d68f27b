// The factor of gradients before Adam: in mixed precision the largest power of two that is no more than the step's samples, so
// that the gradients of activations, which are means over these samples, are not too small for halves. Exact, as any power of
// two. The same in src/ops/context.rs.
#import uniforms
const SCALED: bool = false;

fn loss_scale_exponent() -> u32 {
    return select(0u, (bitcast<u32>(f32(uniforms.rows)) >> 23u) - 127u, SCALED);
}

// What a sample's gradient is multiplied by: 1 / B, scaled.
fn mean_weight() -> f32 {
    return uniforms.inverse_rows * bitcast<f32>((127u + loss_scale_exponent()) << 23u);
}

// What undoes the scale.
fn unscale() -> f32 {
    return bitcast<f32>((127u - loss_scale_exponent()) << 23u);
}
