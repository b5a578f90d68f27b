// Half floats (IEEE 754 binary16), four in two words, the first in the low bits.
//
// By integers, and not by unpack2x16float and pack2x16float: WGSL lets these take subnormal halves for 0, and lets the
// second round either way, as some GPUs do. Nor does this need the optional feature f16.

// The values of four halves, exact.
fn of_halves(quad: vec2<u32>) -> vec4<f32> {
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

// The significands of four numbers, of which `dropped` bits have no place in a half, and the half's exponents.
struct Unrounded {
    significand: vec4<u32>,
    shift: vec4<u32>,
    exponent: vec4<u32>,
}

fn unrounded(numbers: vec4<f32>) -> Unrounded {
    let magnitude = bitcast<vec4<u32>>(numbers) & vec4<u32>(0x7fffffffu);
    let exponent = magnitude >> vec4<u32>(23u);
    let dropped = vec4<u32>(126u) - min(exponent, vec4<u32>(113u));
    let shift = min(dropped, vec4<u32>(31u));
    let whole = (magnitude & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    let above = (max(exponent, vec4<u32>(113u)) - vec4<u32>(113u)) << vec4<u32>(10u);
    return Unrounded(whole >> min(dropped - shift, vec4<u32>(31u)), shift, above);
}

// Halves of the magnitude `finite`, where the numbers are finite, with their signs.
fn signed_halves(numbers: vec4<f32>, finite: vec4<u32>) -> vec4<u32> {
    const INFINITY = vec4<u32>(0x7f800000u);
    let bits = bitcast<vec4<u32>>(numbers);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let special = select(vec4<u32>(0x7c00u), vec4<u32>(0x7e00u), magnitude > INFINITY);
    return select(special, finite, magnitude < INFINITY) | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
}

fn packed(halves: vec4<u32>) -> vec2<u32> {
    return vec2<u32>(halves.x | (halves.y << 16u), halves.z | (halves.w << 16u));
}

// The nearest halves, ties to even; infinity beyond the largest.
fn to_halves(numbers: vec4<f32>) -> vec2<u32> {
    let own = unrounded(numbers);
    let even = (own.significand >> own.shift) & vec4<u32>(1u);
    let below_half = (vec4<u32>(1u) << (own.shift - vec4<u32>(1u))) - vec4<u32>(1u);
    let rounded = (own.significand + below_half + even) >> own.shift;
    return packed(signed_halves(numbers, min(rounded + own.exponent, vec4<u32>(0x7c00u))));
}
