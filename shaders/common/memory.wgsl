// Tensors [B, ·]. They lie in up to three buffers, the arenas; an address has the arena's number in its two top bits and
// counts values below. Rows begin at multiples of 4 values. All arenas are bound for reading and writing, because a
// dispatch reads and writes parts of one buffer; where there are fewer than three, the last is bound again.
#import any_address
const ARENAS: u32 = 1u;

@group(0) @binding(0) var<storage, read_write> memory_0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> memory_1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> memory_2: array<vec4<f32>>;

const PLACE: u32 = 0x3fffffffu;

// The four values at an address that is a multiple of 4.
fn load4(address: u32) -> vec4<f32> {
    var value: vec4<f32>;
    if (ARENAS == 1u) {
        value = memory_0[address / 4u];
    } else {
        let at = (address & PLACE) / 4u;
        switch (address >> 30u) {
            case 0u: {
                value = memory_0[at];
            }
            case 1u: {
                value = memory_1[at];
            }
            default: {
                value = memory_2[at];
            }
        }
    }
    return value;
}

// The value at any address.
fn load(address: u32) -> f32 {
    var value: f32;
    if (ARENAS == 1u) {
        value = memory_0[address / 4u][address % 4u];
    } else {
        let at = (address & PLACE) / 4u;
        switch (address >> 30u) {
            case 0u: {
                value = memory_0[at][address % 4u];
            }
            case 1u: {
                value = memory_1[at][address % 4u];
            }
            default: {
                value = memory_2[at][address % 4u];
            }
        }
    }
    return value;
}

fn store4(address: u32, value: vec4<f32>) {
    if (ARENAS == 1u) {
        memory_0[address / 4u] = value;
    } else {
        let at = (address & PLACE) / 4u;
        switch (address >> 30u) {
            case 0u: {
                memory_0[at] = value;
            }
            case 1u: {
                memory_1[at] = value;
            }
            default: {
                memory_2[at] = value;
            }
        }
    }
}

// A device may write the three values beside it again, so all four must belong to one invocation.
fn store(address: u32, value: f32) {
    if (ARENAS == 1u) {
        memory_0[address / 4u][address % 4u] = value;
    } else {
        let at = (address & PLACE) / 4u;
        switch (address >> 30u) {
            case 0u: {
                memory_0[at][address % 4u] = value;
            }
            case 1u: {
                memory_1[at][address % 4u] = value;
            }
            default: {
                memory_2[at][address % 4u] = value;
            }
        }
    }
}
