// T(e, S) = w · ReLU(A e + B S + b) + c of many discriminators, on each sample's true pair and on its shuffled one; their
// losses and all gradients. One workgroup per discriminator and lane of the log, one invocation per sample of the lane.
#import lane_sum
#import discriminator

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = group_number(id, groups);
    let at = item_of(group);
    let lane = group - table[at].x;
    var sums = vec2<f32>();
    for (var row = lane + local * LANES; row < uniforms.rows; row += LANES * WORKGROUP) {
        let pair = pair_of(row, at + 1u);
        let t = pair.bias + part_of_scores(pair, 0u, 1u, true);
        leave_gradients(pair, t, 0u, 1u);
        sums += pair_losses(t);
    }
    let total = lane_sum(sums, local);
    if (local < 2u) {
        losses[(uniforms.batch_index * LANES + lane) * LOG_WIDTH + table[at + 4u].y + local] = total[local];
    }
}
