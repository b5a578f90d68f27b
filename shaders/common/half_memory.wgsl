// Tensors [B, ·] where training is in mixed precision: those with a row for each sample and enough columns are half floats, two
// in a word, in the first two arenas; the rest is f32, in the third. Stands in the place of memory.wgsl, with the same
// addresses: an arena's number in the two top bits, and a count of values below, whatever their size. Arithmetic stays in
// f32; what is stored is rounded to the nearest half. A load is left to the device, which may take subnormal halves for 0:
// activations and scaled gradients below 2^-14 count for little, and loads are many.
#import any_address
#import halves
// Arenas of halves.
const HALF_ARENAS: u32 = 1u;

@group(0) @binding(0) var<storage, read_write> memory_0: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> memory_1: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> memory_2: array<vec4<f32>>;

const PLACE: u32 = 0x3fffffffu;

fn unpacked(quad: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(quad.x), unpack2x16float(quad.y));
}

// The four values at an address that is a multiple of 4.
fn load4(address: u32) -> vec4<f32> {
    let at = (address & PLACE) / 4u;
    let arena = address >> 30u;
    var value: vec4<f32>;
    if (arena == 2u) {
        value = memory_2[at];
    } else if (HALF_ARENAS > 1u && arena == 1u) {
        value = unpacked(memory_1[at]);
    } else {
        value = unpacked(memory_0[at]);
    }
    return value;
}

// The value at any address.
fn load(address: u32) -> f32 {
    return load4(address)[address % 4u];
}

fn store4(address: u32, value: vec4<f32>) {
    let at = (address & PLACE) / 4u;
    let arena = address >> 30u;
    if (arena == 2u) {
        memory_2[at] = value;
    } else if (HALF_ARENAS > 1u && arena == 1u) {
        memory_1[at] = to_halves(value);
    } else {
        memory_0[at] = to_halves(value);
    }
}

// The three values beside it are written again, so all four must belong to one invocation.
fn store(address: u32, value: f32) {
    let at = (address & PLACE) / 4u;
    if (address >> 30u == 2u) {
        memory_2[at][address % 4u] = value;
    } else {
        // The others are halves already, and stay what they are.
        var four = load4(address & ~3u);
        four[address % 4u] = value;
        store4(address & ~3u, four);
    }
}
