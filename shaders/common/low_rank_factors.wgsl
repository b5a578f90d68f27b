// S [ROWS × COLS] and its factors R [ROWS × RANK] and C [RANK × COLS], of each sample or shared by all.
#import memory
const ROWS: u32 = 1u;
const RANK: u32 = 1u;
const COLS: u32 = 1u;
const S: u32 = 0u;
const S_STRIDE: u32 = 4u;
// Address, or place among the parameters, and the distance from row to row.
const R: u32 = 0u;
const R_STRIDE: u32 = 4u;
const R_SHARED: bool = false;
const C: u32 = 0u;
const C_STRIDE: u32 = 4u;
const C_SHARED: bool = true;

@group(0) @binding(3) var<storage, read> parameters: array<vec4<f32>>;

fn parameter(at: u32) -> f32 {
    return parameters[at / 4u][at % 4u];
}

fn r_value(sample: u32, row: u32, k: u32) -> f32 {
    var value: f32;
    if (R_SHARED) {
        value = parameter(R + row * R_STRIDE + k);
    } else {
        value = load(R + sample * R_STRIDE + row * RANK + k);
    }
    return value;
}
