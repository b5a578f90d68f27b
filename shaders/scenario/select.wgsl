// The columns of a sample's own scenario. One invocation per four values of the result.
#import own_columns

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    const ACROSS = Y_STRIDE / 4u;
    let at = invocation(id, groups);
    let row = at / ACROSS;
    if (row >= uniforms.rows) {
        return;
    }
    let col = at % ACROSS * 4u;
    let x = X + row * X_STRIDE + first_own(row) + col;
    store4(Y + row * Y_STRIDE + col, load_any4(x, WIDTH % 4u == 0u));
}
