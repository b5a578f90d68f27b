// Factors β σ(α v), 0 where they are at most LEAST. One invocation per four values.
#import uniforms
#import pieces
#import logistic
#import memory
const V: u32 = 0u;
const Y: u32 = 0u;
const STRIDE: u32 = 4u;
const ALPHA: u32 = 0u;
const MOST: f32 = 2.0;
const LEAST: f32 = 0.25;

@group(0) @binding(3) var<storage, read> parameters: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    if (at / ACROSS >= uniforms.rows) {
        return;
    }
    let factor = MOST * sigmoid4(parameters[ALPHA / 4u][ALPHA % 4u] * load4(V + 4u * at));
    store4(Y + 4u * at, select(vec4<f32>(), factor, factor > vec4<f32>(LEAST)));
}
