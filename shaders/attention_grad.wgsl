// The gradients of q, k and v through averaged self-attention; 0 in the places up to the next sample's tokens. One
// invocation per sample.
#import attention_heads
#import grid
const DY: u32 = 0u;
const DY_STRIDE: u32 = 4u;
const DQ: u32 = 0u;
const DK: u32 = 0u;
const DV: u32 = 0u;

fn clear(row: u32, tokens: Tokens) {
    var end = clock.tokens;
    if (row + 1u < clock.rows) {
        end = schedule[clock.base + STARTS + row + 1u];
    }
    for (var token = tokens.first; token < end; token += 1u) {
        for (var c = 0u; c < Q_STRIDE; c += 4u) {
            store4(DQ + token * Q_STRIDE + c, vec4<f32>());
            store4(DK + token * Q_STRIDE + c, vec4<f32>());
        }
        for (var c = 0u; c < V_STRIDE; c += 4u) {
            store4(DV + token * V_STRIDE + c, vec4<f32>());
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation(id, groups);
    if (row >= clock.rows) {
        return;
    }
    let tokens = tokens_of(row);
    clear(row, tokens);
    let inverse = 1.0 / f32(max(tokens.count, 1u));
    for (var head = 0u; head < HEADS; head += 1u) {
        let dy = DY + row * DY_STRIDE + head * WIDTH;
        let q = tokens.first * Q_STRIDE + head * SIZE;
        let v = tokens.first * V_STRIDE + head * WIDTH;
        // The gradient of the attention to a token, whoever pays it.
        var towards: array<f32, LONGEST>;
        var weights: array<f32, LONGEST>;
        for (var j = 0u; j < tokens.count; j += 1u) {
            var sum = 0.0;
            for (var c = 0u; c < WIDTH; c += 1u) {
                sum += load(dy + c) * load(V + v + j * V_STRIDE + c);
            }
            towards[j] = sum * inverse;
        }
        for (var p = 0u; p < tokens.count; p += 1u) {
            let paid = attention(tokens, head, p);
            var mean = 0.0;
            for (var j = 0u; j < tokens.count; j += 1u) {
                mean += paid[j] * towards[j];
                weights[j] += paid[j];
            }
            for (var c = 0u; c < SIZE; c += 1u) {
                let own = q + p * Q_STRIDE + c;
                var of_q = 0.0;
                for (var j = 0u; j < tokens.count; j += 1u) {
                    let other = q + j * Q_STRIDE + c;
                    let d = paid[j] * (towards[j] - mean) / sqrt(f32(SIZE));
                    of_q += d * load(K + other);
                    store(DK + other, load(DK + other) + d * load(Q + own));
                }
                store(DQ + own, of_q);
            }
        }
        for (var j = 0u; j < tokens.count; j += 1u) {
            for (var c = 0u; c < WIDTH; c += 1u) {
                store(DV + v + j * V_STRIDE + c, weights[j] * inverse * load(dy + c));
            }
        }
    }
}
