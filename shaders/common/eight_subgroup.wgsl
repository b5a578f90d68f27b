// As eight.wgsl, to the same bits, by way of registers: invocations of a subgroup, at least LEAST_SUBGROUP that follow each
// other, see each other's.
#import block
const LEAST_SUBGROUP: u32 = 8u;

fn sum_of_eight(own: vec4<f32>, local: u32) -> vec4<f32> {
    let of_two = own + subgroupShuffleXor(own, 1u);
    let of_four = of_two + subgroupShuffleXor(of_two, 2u);
    var total: vec4<f32>;
    if (LEAST_SUBGROUP >= 8u) {
        total = of_four + subgroupShuffleXor(of_four, 4u);
    } else {
        workgroupBarrier();
        tile[local] = of_four;
        workgroupBarrier();
        let first = local / 8u * 8u;
        total = tile[first] + tile[first + 4u];
    }
    return total;
}
