// A loss of each sample, `fn loss(row: u32) -> f32`, which also leaves its gradient: the sums for the log. LANES groups of
// samples are summed apart: by main, every LANES-th sample, one workgroup for each group; by block, the samples of a block.
#import uniforms
#import block
const LANES: u32 = 32u;
const LOG_WIDTH: u32 = 1u;
const COLUMN: u32 = 0u;

fn log_sum(lane: u32, local: u32, own: f32, count: u32) {
    partial[local] = own;
    workgroupBarrier();
    if (local == 0u) {
        var total = 0.0;
        for (var i = 0u; i < count; i += 1u) {
            total += partial[i];
        }
        losses[(uniforms.batch_index * LANES + lane) * LOG_WIDTH + COLUMN] = total;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    var sum = 0.0;
    for (var row = id.x + local * LANES; row < uniforms.rows; row += LANES * WORKGROUP) {
        sum += loss(row);
    }
    log_sum(id.x, local, sum, WORKGROUP);
}

fn block(first: u32, local: u32, at: u32) {
    var own = 0.0;
    if (local < BLOCK && first + local < uniforms.rows) {
        own = loss(first + local);
    }
    log_sum(first / BLOCK, local, own, BLOCK);
}
