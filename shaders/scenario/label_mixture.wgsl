// The logit of a mixture of predictions. One invocation per sample.
#import mixed_labels

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation(id, groups);
    if (row >= uniforms.rows) {
        return;
    }
    let p = mixed(row);
    store4(Y + 4u * row, vec4<f32>(p.x - p.y, 0.0, 0.0, 0.0));
}
