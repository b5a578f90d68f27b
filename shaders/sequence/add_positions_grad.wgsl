// For each position the sum of dy over the tokens there. One invocation per position and four columns.
#import pieces
#import memory
#import own_tokens
#import within
const DY: u32 = 0u;
const STRIDE: u32 = 4u;
const ROWS: u32 = 1u;
const OUT: u32 = 0u;

@group(0) @binding(4) var<storage, read_write> gradients: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let position = at / ACROSS;
    if (position >= ROWS) {
        return;
    }
    let col = at % ACROSS * 4u;
    var sum = vec4<f32>();
    for (var row = 0u; row < uniforms.rows; row += 1u) {
        let tokens = tokens_of(row);
        if (position < tokens.end - tokens.first) {
            sum += load4(DY + (tokens.end - 1u - position) * STRIDE + col);
        }
    }
    gradients[(OUT + position * STRIDE + col) / 4u] = within(col, sum);
}
