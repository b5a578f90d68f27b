// The gradients of the hot rows: those with more lookups than one invocation is to add, one after another, while the step
// waits. A workgroup has one row: PARTS invocations for each four values take every PARTS-th lookup, and their sums are added
// by halves.
#import tiles_main
#import row_gradient
#import parts
const HOT_COUNT: u32 = 0u;
const HOT: u32 = 0u;
const PARTS: u32 = WORKGROUP / QUADS;
// The least power of two that is not below PARTS.
const PARTS_BEYOND: u32 = 1u << (32u - countLeadingZeros(PARTS - 1u));

fn tiles(group: u32, local: u32, at: u32) {
    if (group >= batches[uniforms.batch_offset + HOT_COUNT]) {
        return;
    }
    let unique = batches[uniforms.batch_offset + HOT + group];
    let part = local / QUADS;
    let quad = local % QUADS;
    var sum = vec4<f32>();
    if (part < PARTS) {
        let end = first_lookup(unique + 1u);
        for (var i = first_lookup(unique) + part; i < end; i += PARTS) {
            sum += lookup_gradient(i, quad);
        }
    }
    let total = sum_of_parts(sum, local);
    if (part == 0u) {
        store_gradient(unique, quad, total);
    }
}
