// One weighted layer whose shape is known when the shader is built.
#import blocks
#import weighted_shape

fn layer() -> Blocks {
    return Blocks(OUTPUTS, ROW_GROUPS, COL_GROUPS, ROW_MEMBERS, COL_MEMBERS, S_ROW_STEP, S_COL_STEP);
}

fn parameter(at: u32) -> f32 {
    return parameters[at / 4u][at % 4u];
}

// As `members`, of a row of the weight.
fn weights(row: u32, c: u32, j: u32) -> mat4x4<f32> {
    let b = layer();
    let at = WEIGHT + row * WEIGHT_STRIDE;
    var found: mat4x4<f32>;
    if (COL_MODE == 2u) {
        found = transpose(mat4x4<f32>(
            parameters[(at + column(b, c, j)) / 4u], parameters[(at + column(b, c + 1u, j)) / 4u],
            parameters[(at + column(b, c + 2u, j)) / 4u], parameters[(at + column(b, c + 3u, j)) / 4u]));
    } else if (COL_MODE == 1u) {
        found[0] = parameters[(at + column(b, c, j)) / 4u];
    } else {
        found[0] = vec4<f32>(
            parameter(at + column(b, c, j)), parameter(at + column(b, c + 1u, j)), parameter(at + column(b, c + 2u, j)),
            parameter(at + column(b, c + 3u, j)));
    }
    return found;
}
