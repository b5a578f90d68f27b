// T(e, S) = w · ReLU(A e + B S + b) + c of many discriminators for a block of samples, on each one's true pair and on its
// shuffled one; their losses and all gradients. SPREAD invocations share the hidden layer of a pair.
#import block_main
#import discriminator
// Descriptors of a discriminator.
const HEAD: u32 = 4u;
const PAIRINGS: u32 = 1u;
// One alone where the two halves share groups of four values.
const SPREAD: u32 = select(1u, 8u, ALIGNED);

fn block(first: u32, local: u32, at: u32) {
    const PAIRS = WORKGROUP / SPREAD;
    const COUNT = PAIRINGS * BLOCK;
    for (var base = 0u; base < COUNT; base += PAIRS) {
        // A discriminator's samples one after the other; what is beyond the last is computed and not stored.
        let number = min(base + local / SPREAD, COUNT - 1u);
        let own = base + local / SPREAD < COUNT && first + number % BLOCK < uniforms.rows;
        let pair = pair_of(row_of(first, number % BLOCK), at + number / BLOCK * HEAD);
        let lane = local % SPREAD;
        let begun = part_of_scores(pair, lane, SPREAD, own);
        workgroupBarrier();
        partial[local] = begun.x;
        partial[WORKGROUP + local] = begun.y;
        workgroupBarrier();
        var t = pair.bias;
        for (var i = 0u; i < SPREAD; i += 1u) {
            let begin = local / SPREAD * SPREAD + i;
            t += vec2<f32>(partial[begin], partial[WORKGROUP + begin]);
        }
        if (own) {
            leave_gradients(pair, t, lane, SPREAD);
        }
        workgroupBarrier();
        if (lane == 0u) {
            let losses_of = select(vec2<f32>(), pair_losses(t), own);
            partial[local / SPREAD] = losses_of.x;
            partial[WORKGROUP + local / SPREAD] = losses_of.y;
        }
        workgroupBarrier();
        // One invocation for each discriminator and loss: the samples in their order.
        const TOGETHER = max(PAIRS / BLOCK, 1u);
        if (local < 2u * TOGETHER && base / BLOCK + local / 2u < PAIRINGS) {
            var total = 0.0;
            for (var i = 0u; i < BLOCK; i += 1u) {
                total += partial[local % 2u * WORKGROUP + local / 2u * BLOCK + i];
            }
            let column = table[at + (base / BLOCK + local / 2u) * HEAD + 3u].y + local % 2u;
            losses[(uniforms.batch_index * LANES + first / BLOCK) * LOG_WIDTH + column] = total;
        }
    }
}
