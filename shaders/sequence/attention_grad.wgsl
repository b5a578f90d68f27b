// The gradients of q, k and v through self-attention; 0 in the places up to the next sample's tokens. One
// invocation per sample.
#import attention_heads
#import pieces
const DY: u32 = 0u;
const DY_STRIDE: u32 = 4u;
const DQ: u32 = 0u;
const DK: u32 = 0u;
const DV: u32 = 0u;

fn clear(tokens: Tokens) {
    for (var token = tokens.first; token < tokens.next; token += 1u) {
        for (var c = 0u; c < Q_STRIDE; c += 4u) {
            store4(DQ + token * Q_STRIDE + c, vec4<f32>());
            store4(DK + token * Q_STRIDE + c, vec4<f32>());
        }
        for (var c = 0u; c < V_STRIDE; c += 4u) {
            store4(DV + token * V_STRIDE + c, vec4<f32>());
        }
    }
}

// The gradient of the attention to each token, if what it makes has the gradient at `dy` times `factor`.
fn received(tokens: Tokens, head: u32, dy: u32, factor: f32) -> array<f32, LONGEST> {
    var towards: array<f32, LONGEST>;
    for (var j = 0u; j < count_of(tokens); j += 1u) {
        let v = V + (tokens.first + j) * V_STRIDE + head * WIDTH;
        var sum = 0.0;
        for (var c = 0u; c < WIDTH; c += 1u) {
            sum += load(dy + c) * load(v + c);
        }
        towards[j] = sum * factor;
    }
    return towards;
}

// Adds `factor` times the gradient at `dy`, by how much each token was attended to, to the gradient of v.
fn add_to_values(tokens: Tokens, head: u32, dy: u32, weights: array<f32, LONGEST>, factor: f32) {
    var paid = weights;
    for (var j = 0u; j < count_of(tokens); j += 1u) {
        let dv = DV + (tokens.first + j) * V_STRIDE + head * WIDTH;
        for (var c = 0u; c < WIDTH; c += 1u) {
            store(dv + c, load(dv + c) + paid[j] * factor * load(dy + c));
        }
    }
}

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let tokens = tokens_of(row);
    clear(tokens);
    let inverse = 1.0 / f32(max(count_of(tokens), 1u));
    for (var head = 0u; head < HEADS; head += 1u) {
        let of_sample = DY + row * DY_STRIDE + head * WIDTH;
        let q = tokens.first * Q_STRIDE + head * SIZE;
        var towards: array<f32, LONGEST>;
        if (MEAN) {
            towards = received(tokens, head, of_sample, inverse);
        }
        var weights: array<f32, LONGEST>;
        for (var p = 0u; p < count_of(tokens); p += 1u) {
            var paid = attention(tokens, head, p);
            if (MEAN) {
                for (var j = 0u; j < count_of(tokens); j += 1u) {
                    weights[j] += paid[j];
                }
            } else {
                let dy = DY + (tokens.first + p) * DY_STRIDE + head * WIDTH;
                towards = received(tokens, head, dy, 1.0);
                add_to_values(tokens, head, dy, paid, 1.0);
            }
            var mean = 0.0;
            for (var j = 0u; j < count_of(tokens); j += 1u) {
                mean += paid[j] * towards[j];
            }
            for (var c = 0u; c < SIZE; c += 1u) {
                let own = q + p * Q_STRIDE + c;
                var of_q = 0.0;
                for (var j = 0u; j < count_of(tokens); j += 1u) {
                    let other = q + j * Q_STRIDE + c;
                    let d = paid[j] * (towards[j] - mean) / sqrt(f32(SIZE));
                    of_q += d * load(K + other);
                    store(DK + other, load(DK + other) + d * load(Q + own));
                }
                store(DQ + own, of_q);
            }
        }
        if (MEAN) {
            add_to_values(tokens, head, of_sample, weights, inverse);
        }
    }
}
