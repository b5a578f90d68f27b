// Rows of an embedding table, four values at a time, as the table holds them: f32. Where it is of halves, half_rows.wgsl
// stands in this file's place.
alias RowQuad = vec4<f32>;

fn row_values(quad: RowQuad) -> vec4<f32> {
    return quad;
}

// What the table holds of new values, which are those of row `row` of the whole table from column `column` on.
fn row_quad(new_values: vec4<f32>, row: u32, column: u32) -> RowQuad {
    return new_values;
}
