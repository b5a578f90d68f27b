// Rows of an embedding table, four values at a time, as the table holds them: half floats (IEEE 754 binary16), two in a
// word, the first in its low bits. Stands in the place of rows.wgsl where a table is of halves.
//
// All by integers, and not by unpack2x16float and pack2x16float: WGSL lets these take subnormal halves for 0, as some GPUs
// do, and some values of embeddings are as small as that (below 2^-14); the CPU would see other rows than the GPU. Nor does
// this need the optional feature f16.
#import uniforms
#import random
const TABLE: u32 = 0u;

alias RowQuad = vec2<u32>;

// The values of four halves, exact.
fn row_values(quad: RowQuad) -> vec4<f32> {
    let halves = vec4<u32>(quad.x & 0xffffu, quad.x >> 16u, quad.y & 0xffffu, quad.y >> 16u);
    let magnitude = halves & vec4<u32>(0x7fffu);
    // The exponent's bias is 127 instead of 15; that of infinities and NaN is all ones.
    let normal = (magnitude << vec4<u32>(13u)) + vec4<u32>(0x38000000u);
    let special = normal + vec4<u32>(0x38000000u);
    // Multiples of 2^-24, normal numbers in f32.
    let subnormal = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 5.9604644775390625e-8);
    var bits = select(normal, special, magnitude >= vec4<u32>(0x7c00u));
    bits = select(bits, subnormal, magnitude < vec4<u32>(0x400u));
    return bitcast<vec4<f32>>(bits | ((halves & vec4<u32>(0x8000u)) << vec4<u32>(16u)));
}

// Each value to one of the two halves around it, at random and right on average: `stochastic_half` in src/cpu/rounding.rs,
// which says how.
fn stochastic_halves(values: vec4<f32>, random: vec4<u32>) -> vec4<u32> {
    const INFINITY = vec4<u32>(0x7f800000u);
    let bits = bitcast<vec4<u32>>(values);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let exponent = magnitude >> vec4<u32>(23u);
    let dropped = vec4<u32>(126u) - min(exponent, vec4<u32>(113u));
    let shift = min(dropped, vec4<u32>(31u));
    let whole = (magnitude & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    let significand = whole >> min(dropped - shift, vec4<u32>(31u));
    let added = random & ((vec4<u32>(1u) << shift) - vec4<u32>(1u));
    let rounded = (significand + added) >> shift;
    let above = (max(exponent, vec4<u32>(113u)) - vec4<u32>(113u)) << vec4<u32>(10u);
    let finite = min(rounded + above, vec4<u32>(0x7bffu));
    let special = select(vec4<u32>(0x7c00u), vec4<u32>(0x7e00u), magnitude > INFINITY);
    let half = select(special, finite, magnitude < INFINITY);
    return half | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
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
    let halves = stochastic_halves(new_values, rounding_bits(row, column));
    return vec2<u32>(halves.x | (halves.y << 16u), halves.z | (halves.w << 16u));
}
