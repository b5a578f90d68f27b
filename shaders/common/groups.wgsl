// A table that says for every workgroup which item it computes a part of: quad 0 begins with the number of workgroups,
// from quad 1 on stands for each workgroup the quad at which its item's description begins. The first word of a
// description is the item's first workgroup.
#import grid

@group(0) @binding(3) var<storage, read> table: array<vec4<u32>>;

// The number of a workgroup.
fn group_number(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.y * groups.x + id.x;
}

// Whether a workgroup has anything to do: a folded grid has some more.
fn has_item(group: u32) -> bool {
    return group < table[0].x;
}

// Where the description of a workgroup's item begins.
fn item_of(group: u32) -> u32 {
    return table[1u + group / 4u][group % 4u];
}
