// The weighted sum or the mean of a sample's tokens. One invocation per sample and four columns.
#import pooled

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const ACROSS = STRIDE / 4u;
    let at = invocation(id, groups);
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let tokens = tokens_of(row);
    var sum = vec4<f32>();
    for (var token = tokens.first; token < tokens.end; token += 1u) {
        sum += weight(tokens, token) * load4(V + token * STRIDE + col);
    }
    store4(Y + row * STRIDE + col, sum);
}
