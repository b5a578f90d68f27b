// Samples x normalised by their scenario's moments: those of the batch or, RUNNING, those that training left among the
// parameters.
#import uniforms
#import grid
#import memory
const X: u32 = 0u;
const STRIDE: u32 = 4u;
const MEANS: u32 = 0u;
const VARIANCES: u32 = 0u;
const RUNNING: bool = false;
const EPSILON: f32 = 1e-5;
const STILL: f32 = 1e-8;
// Scenarios, and where a batch lists those of the samples.
const COUNT: u32 = 1u;
const SCENARIOS: u32 = 0u;

@group(0) @binding(3) var<storage, read> batches: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;

fn scenario_of(row: u32) -> u32 {
    return batches[uniforms.batch_offset + SCENARIOS + row];
}

fn moment(address: u32) -> vec4<f32> {
    var value: vec4<f32>;
    if (RUNNING) {
        value = parameters[address / 4u];
    } else {
        value = load4(address);
    }
    return value;
}

// 1 / √(variance + ε) of four columns of a scenario, 0 for those that are still; `place` is the first one's in the moments.
fn inverse(place: u32) -> vec4<f32> {
    let variance = moment(VARIANCES + place);
    return select(1.0 / sqrt(variance + EPSILON), vec4<f32>(), variance < vec4<f32>(STILL));
}

// Four columns of a sample, normalised.
fn normal(row: u32, col: u32, place: u32) -> vec4<f32> {
    return (load4(X + row * STRIDE + col) - moment(MEANS + place)) * inverse(place);
}
