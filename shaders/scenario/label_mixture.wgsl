// The logit of a mixture of predictions. One invocation per sample.
#import pieces
#import mixed_labels

fn piece(row: u32) {
    if (row >= uniforms.rows) {
        return;
    }
    let p = mixed(row);
    store4(Y + 4u * row, vec4<f32>(p.x - p.y, 0.0, 0.0, 0.0));
}
