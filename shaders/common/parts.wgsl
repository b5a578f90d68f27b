// The sum of PARTS vectors, by halves. Invocation number part * QUADS + quad has part number `part` of sum number `quad`; the
// first QUADS get the sums. All of a workgroup call it.
#import block

fn sum_of_parts(own: vec4<f32>, local: u32) -> vec4<f32> {
    let part = local / QUADS;
    tile[local] = own;
    for (var half = PARTS_BEYOND / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (part < half && part + half < PARTS) {
            tile[local] += tile[local + half * QUADS];
        }
    }
    return tile[local];
}
