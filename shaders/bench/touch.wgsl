// A dispatch that does next to nothing, and waits for the one before it, whose result it changes.
#import grid

@group(0) @binding(0) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    counts[invocation(id, groups)] += 1u;
}
