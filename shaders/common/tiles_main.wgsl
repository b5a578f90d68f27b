// A kernel of `fn tiles(group: u32, local: u32, at: u32)`: what a workgroup of that number computes, and the kernel's first
// quad of descriptors. Where several such kernels share a dispatch, its own main calls them.
#import block

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    tiles(id.y * groups.x + id.x, local, 0u);
}
