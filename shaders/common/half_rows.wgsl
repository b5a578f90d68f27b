// Rows of an embedding table, four values at a time, as the table holds them: half floats. Stands in the place of rows.wgsl
// where a table is of halves. Some values of embeddings are as small as subnormal halves (below 2^-14).
#import uniforms
#import random
#import halves
const TABLE: u32 = 0u;

alias RowQuad = vec2<u32>;

fn row_values(quad: RowQuad) -> vec4<f32> {
    return of_halves(quad);
}

// Each value to one of the two halves around it, at random and right on average: `stochastic_half` in src/cpu/rounding.rs,
// which says how.
fn stochastic_halves(numbers: vec4<f32>, random: vec4<u32>) -> vec2<u32> {
    let own = unrounded(numbers);
    let added = random & ((vec4<u32>(1u) << own.shift) - vec4<u32>(1u));
    let rounded = (own.significand + added) >> own.shift;
    return packed(signed_halves(numbers, min(rounded + own.exponent, vec4<u32>(0x7bffu))));
}

// The random bits of four values: functions of the run's seed, the step, the table, the row and the column. The same in
// src/ops/table_values.rs.
fn rounding_bits(row: u32, column: u32) -> vec4<u32> {
    const SALT = 0x80000000u;
    let key = pcg(row ^ pcg((SALT | TABLE) ^ pcg(uniforms.step ^ pcg(uniforms.seed))));
    return vec4<u32>(pcg(column ^ key), pcg((column + 1u) ^ key), pcg((column + 2u) ^ key), pcg((column + 3u) ^ key));
}

// What the table holds of new values, which are those of row `row` of the whole table from column `column` on.
fn row_quad(new_values: vec4<f32>, row: u32, column: u32) -> RowQuad {
    return stochastic_halves(new_values, rounding_bits(row, column));
}
