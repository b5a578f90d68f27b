// A kernel whose work is pieces that know nothing of each other: `fn piece(at: u32)` does the one of that number, or nothing
// where there is none. Here an invocation does one; where a kernel is a part of a segment, it does each of some.
#import grid

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    piece(invocation(id, groups));
}
