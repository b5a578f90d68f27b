// One invocation per piece of work, numbered from 0. Work that needs more workgroups than one dimension allows is
// folded into the second.
const WORKGROUP: u32 = 64u;

fn invocation(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * WORKGROUP;
}
