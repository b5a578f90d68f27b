// As parts.wgsl, to the same bits: once the halves that are left lie in the first subgroup, of at least LEAST_SUBGROUP
// invocations that follow each other, by way of registers.
#import block
const LEAST_SUBGROUP: u32 = 8u;

fn sum_of_parts(own: vec4<f32>, local: u32) -> vec4<f32> {
    let part = local / QUADS;
    tile[local] = own;
    var half = PARTS_BEYOND / 2u;
    for (; half > 0u && 2u * half * QUADS > LEAST_SUBGROUP; half /= 2u) {
        workgroupBarrier();
        if (part < half && part + half < PARTS) {
            tile[local] += tile[local + half * QUADS];
        }
    }
    var sum = tile[local];
    for (; half > 0u; half /= 2u) {
        let other = subgroupShuffleDown(sum, half * QUADS);
        if (part < half && part + half < PARTS) {
            sum += other;
        }
    }
    return sum;
}
