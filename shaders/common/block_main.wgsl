// A kernel of `fn block(first: u32, local: u32, at: u32)`: the block of samples from `first` on, and the kernel's first quad
// of descriptors. Where it is a part of a segment, the segment's own main calls it.
#import block

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = (id.y * groups.x + id.x) * BLOCK;
    if (first >= uniforms.rows) {
        return;
    }
    block(first, local, 0u);
}
