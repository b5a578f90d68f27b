// Means, variances and counts of each scenario's samples. One invocation per scenario and four columns.
#import uniforms
#import pieces
#import memory
const X: u32 = 0u;
const STRIDE: u32 = 4u;
const MEANS: u32 = 0u;
const VARIANCES: u32 = 0u;
const COUNTS: u32 = 0u;
// Scenarios, and where a batch lists those of the samples.
const COUNT: u32 = 1u;
const SCENARIOS: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    let scenario = at / ACROSS;
    if (scenario >= COUNT) {
        return;
    }
    let col = at % ACROSS * 4u;
    var count = 0.0;
    var mean = vec4<f32>();
    for (var row = 0u; row < uniforms.rows; row += 1u) {
        if (batches[uniforms.batch_offset + SCENARIOS + row] == scenario) {
            count += 1.0;
            mean += load4(X + row * STRIDE + col);
        }
    }
    mean /= max(count, 1.0);
    var variance = vec4<f32>();
    for (var row = 0u; row < uniforms.rows; row += 1u) {
        if (batches[uniforms.batch_offset + SCENARIOS + row] == scenario) {
            let off = load4(X + row * STRIDE + col) - mean;
            variance += off * off;
        }
    }
    store4(MEANS + scenario * STRIDE + col, mean);
    store4(VARIANCES + scenario * STRIDE + col, variance / max(count, 1.0));
    if (col == 0u) {
        store4(COUNTS + 4u * scenario, vec4<f32>(count, 0.0, 0.0, 0.0));
    }
}
