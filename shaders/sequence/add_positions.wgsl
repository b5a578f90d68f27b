// Adds to a sample's tokens the row for how far each is from the last. One invocation per sample and four columns.
#import pieces
#import memory
#import own_tokens
const X: u32 = 0u;
const STRIDE: u32 = 4u;
const Y: u32 = 0u;
const POSITIONS: u32 = 0u;

@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let tokens = tokens_of(row);
    for (var token = tokens.first; token < tokens.next; token += 1u) {
        var y = vec4<f32>();
        if (token < tokens.end) {
            let position = (tokens.end - 1u - token) * STRIDE + col;
            y = load4(X + token * STRIDE + col) + parameters[(POSITIONS + position) / 4u];
        }
        store4(Y + token * STRIDE + col, y);
    }
}
