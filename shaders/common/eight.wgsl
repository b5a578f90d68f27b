// The sum of what eight neighbouring invocations have, pairs first; all of a workgroup call it.
#import block

fn sum_of_eight(own: vec4<f32>, local: u32) -> vec4<f32> {
    workgroupBarrier();
    tile[local] = own;
    workgroupBarrier();
    let first = local / 8u * 8u;
    let low = (tile[first] + tile[first + 1u]) + (tile[first + 2u] + tile[first + 3u]);
    let high = (tile[first + 4u] + tile[first + 5u]) + (tile[first + 6u] + tile[first + 7u]);
    return low + high;
}
