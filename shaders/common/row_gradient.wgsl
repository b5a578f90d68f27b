// What the lookups of an embedding row add to its gradient.
#import uniforms
#import lookup
#import memory
const STARTS: u32 = 0u;
const POSITIONS: u32 = 0u;
const ORDER: u32 = 0u;
const DX: u32 = 0u;
const DX_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
// Sequences that read the table, the first position of their items, and the gradient of these.
const SEQUENCES: u32 = 0u;
const FIRST_TOKEN: u32 = 0u;
const OF_TOKENS: u32 = 0u;
const OF_TOKENS_STRIDE: u32 = 4u;
// Whether fields of tags read it, the first position of their values, and what the batch has of each: whose it is, and what it
// counts there. What was noted of maxima.
const TAGS: bool = false;
const FIRST_TAG: u32 = 0u;
const OWNERS: u32 = 0u;
const FACTORS: u32 = 0u;
const ARGMAX: u32 = 0u;
const ARGMAX_STRIDE: u32 = 4u;

@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read> batches: array<u32>;

// The number of the first lookup of a distinct row, or of the first beyond the last row's.
fn first_lookup(unique: u32) -> u32 {
    return batches[uniforms.batch_offset + STARTS + unique];
}

// The gradient of four values of the tag at a place: its part of that of what its list is pooled to.
fn tag_gradient(place: u32, quad: u32) -> vec4<f32> {
    const OF_MAX = 0x80000000u;
    const NUMBER_BITS = 12u;
    let owner = batches[uniforms.batch_offset + OWNERS + place];
    let factor = batches[uniforms.batch_offset + FACTORS + place];
    let sample = (owner & ~OF_MAX) / FIELDS;
    let field = (owner & ~OF_MAX) % FIELDS;
    let d = load_any4(DX + sample * DX_STRIDE + field * WIDTH + 4u * quad, WIDTH % 4u == 0u);
    var gradient: vec4<f32>;
    if ((owner & OF_MAX) == 0u) {
        gradient = bitcast<f32>(factor) * d;
    } else {
        // Where the largest is this value of the list.
        let at = ARGMAX + sample * ARGMAX_STRIDE + (factor >> NUMBER_BITS) + 4u * quad;
        let numbers = load_any4(at, WIDTH % 4u == 0u);
        let own = vec4<f32>(f32(factor & ((1u << NUMBER_BITS) - 1u)));
        gradient = select(vec4<f32>(), d, numbers == own);
    }
    return gradient;
}

// The gradient of four values of lookup number i.
fn lookup_gradient(i: u32, quad: u32) -> vec4<f32> {
    let position = batches[uniforms.batch_offset + POSITIONS + i];
    if (TAGS && position >= FIRST_TAG) {
        return tag_gradient(position - FIRST_TAG, quad);
    }
    if (SEQUENCES > 0u && position >= FIRST_TOKEN) {
        let place = position - FIRST_TOKEN;
        let at_token = OF_TOKENS + place / max(SEQUENCES, 1u) * OF_TOKENS_STRIDE;
        let within = place % max(SEQUENCES, 1u) * WIDTH + 4u * quad;
        return load_any4(at_token + within, WIDTH % 4u == 0u);
    }
    let sample = position / FIELDS;
    let field = position % FIELDS;
    let address = DX + sample * DX_STRIDE + field * WIDTH + 4u * quad;
    let d = load_any4(address, WIDTH % 4u == 0u);
    if (is_numeric(field)) {
        return d * values[batches[uniforms.batch_offset + ORDER + sample] * VALUE_STRIDE + value_column(field)];
    }
    return d;
}

fn store_gradient(unique: u32, quad: u32, sum: vec4<f32>) {
    // What lies behind the row in a padded table stays 0.
    const LAST = WIDTH - 4u * (QUADS - 1u);
    let kept = select(vec4<f32>(), sum, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(LAST));
    store4(GRADIENT + 4u * (unique * QUADS + quad), select(sum, kept, quad == QUADS - 1u));
}
