// The mean over a sample's tokens of what each attends to, head by head. One invocation per sample.
#import attention_heads
#import grid
const Y: u32 = 0u;
const Y_STRIDE: u32 = 4u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation(id, groups);
    if (row >= clock.rows) {
        return;
    }
    let y = Y + row * Y_STRIDE;
    for (var c = 0u; c < Y_STRIDE; c += 4u) {
        store4(y + c, vec4<f32>());
    }
    let tokens = tokens_of(row);
    for (var head = 0u; head < HEADS; head += 1u) {
        var weights: array<f32, LONGEST>;
        for (var p = 0u; p < tokens.count; p += 1u) {
            let paid = attention(tokens, head, p);
            for (var j = 0u; j < tokens.count; j += 1u) {
                weights[j] += paid[j];
            }
        }
        for (var c = 0u; c < WIDTH; c += 1u) {
            var sum = 0.0;
            for (var j = 0u; j < tokens.count; j += 1u) {
                sum += weights[j] * load(V + (tokens.first + j) * V_STRIDE + head * WIDTH + c);
            }
            store(y + head * WIDTH + c, sum / f32(max(tokens.count, 1u)));
        }
    }
}
