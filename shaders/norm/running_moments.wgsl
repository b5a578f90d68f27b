// Moves running moments towards the batch's, of scenarios with at least two samples. One invocation per scenario and four
// columns.
#import uniforms
#import pieces
#import memory
#import within
const STRIDE: u32 = 4u;
const MEANS: u32 = 0u;
const VARIANCES: u32 = 0u;
const COUNTS: u32 = 0u;
const COUNT: u32 = 1u;
const RUNNING_MEANS: u32 = 0u;
const RUNNING_VARIANCES: u32 = 0u;
const MOMENTUM: f32 = 0.1;

@group(0) @binding(3) var<storage, read_write> parameters: array<vec4<f32>>;

fn piece(at: u32) {
    const ACROSS = STRIDE / 4u;
    if (at / ACROSS >= COUNT) {
        return;
    }
    let col = 4u * (at % ACROSS);
    let count = load(COUNTS + 4u * (at / ACROSS));
    if (count > 1.5) {
        let mean = parameters[RUNNING_MEANS / 4u + at];
        parameters[RUNNING_MEANS / 4u + at] = within(col, mean + MOMENTUM * (load4(MEANS + 4u * at) - mean));
        let variance = parameters[RUNNING_VARIANCES / 4u + at];
        let estimate = count / (count - 1.0) * load4(VARIANCES + 4u * at);
        parameters[RUNNING_VARIANCES / 4u + at] = within(col, variance + MOMENTUM * (estimate - variance));
    }
}
