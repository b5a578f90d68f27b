// What each of a sample's tokens attends to, head by head, or the mean over them. One invocation per sample.
#import attention_heads
#import pieces
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;

// Σ weights · v of a head, times `factor`, from address `y` on.
fn store_sum(y: u32, tokens: Tokens, head: u32, weights: array<f32, LONGEST>, factor: f32) {
    var paid = weights;
    for (var c = 0u; c < WIDTH; c += 1u) {
        var sum = 0.0;
        for (var j = 0u; j < count_of(tokens); j += 1u) {
            sum += paid[j] * load(V + (tokens.first + j) * V_STRIDE + head * WIDTH + c);
        }
        store(y + head * WIDTH + c, sum * factor);
    }
}

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let tokens = tokens_of(row);
    var rows = vec2<u32>(row, row + 1u);
    if (!MEAN) {
        rows = vec2<u32>(tokens.first, tokens.next);
    }
    for (var y = rows.x * Y_STRIDE; y < rows.y * Y_STRIDE; y += 4u) {
        store4(Y + y, vec4<f32>());
    }
    for (var head = 0u; head < HEADS; head += 1u) {
        var weights: array<f32, LONGEST>;
        for (var p = 0u; p < count_of(tokens); p += 1u) {
            let paid = attention(tokens, head, p);
            if (MEAN) {
                var own = paid;
                for (var j = 0u; j < count_of(tokens); j += 1u) {
                    weights[j] += own[j];
                }
            } else {
                store_sum(Y + (tokens.first + p) * Y_STRIDE, tokens, head, paid, 1.0);
            }
        }
        if (MEAN) {
            store_sum(Y + row * Y_STRIDE, tokens, head, weights, 1.0 / f32(max(count_of(tokens), 1u)));
        }
    }
}
