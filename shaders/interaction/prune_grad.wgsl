// The gradient of v through the factors π = β σ(α v) that are not 0: d α π (1 − π / β). One invocation per four values.
#import uniforms
#import pieces
#import memory
const D: u32 = 0u;
const FACTORS: u32 = 0u;
const Y: u32 = 0u;
const STRIDE: u32 = 4u;
const ALPHA: u32 = 0u;
const MOST: f32 = 2.0;

@group(0) @binding(3) var<storage, read> parameters: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    if (at / ACROSS >= uniforms.rows) {
        return;
    }
    let factor = load4(FACTORS + 4u * at);
    store4(Y + 4u * at, load4(D + 4u * at) * parameters[ALPHA / 4u][ALPHA % 4u] * factor * (1.0 - factor / MOST));
}
