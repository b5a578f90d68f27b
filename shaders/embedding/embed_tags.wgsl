// A field of tags: the embeddings of a sample's values pooled to one, as far as this shard holds them and the shards before it
// have held them. One invocation per group of four of x's columns that the field has a part of.
#import uniforms
#import pieces
#import memory
#import rows
#import shard
// The first of these groups, and how many of its columns are not the field's.
const X: u32 = 0u;
const X_STRIDE: u32 = 4u;
const SHIFT: u32 = 0u;
const ACROSS: u32 = 1u;
const WIDTH: u32 = 1u;
const QUADS: u32 = (WIDTH + 3u) / 4u;
// In the batch: where each sample's values begin; the row of each, and its factor.
const STARTS: u32 = 0u;
const TAG_ROWS: u32 = 0u;
const FACTORS: u32 = 0u;
// Whether the largest value of each column is taken, and noted of which of the list's values it is.
const LARGEST: bool = false;
const NOTED: bool = false;
const ARGMAX: u32 = 0u;
const ARGMAX_STRIDE: u32 = 4u;

@group(0) @binding(3) var<storage, read> embeddings: array<RowQuad>;
@group(0) @binding(4) var<storage, read> batches: array<u32>;

fn tag_row(place: u32) -> u32 {
    return batches[uniforms.batch_offset + TAG_ROWS + place];
}

// What a row has for the field's columns in group `group`; 0 for columns that are not the field's.
fn tag_values(row: u32, group: u32) -> vec4<f32> {
    let first = (row - FIRST_ROW) * QUADS;
    var values = vec4<f32>();
    if (SHIFT == 0u) {
        values = row_values(embeddings[first + group]);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            // Columns before the field's are large numbers.
            let col = 4u * group + i - SHIFT;
            if (col < WIDTH) {
                values[i] = row_values(embeddings[first + col / 4u])[col % 4u];
            }
        }
    }
    return values;
}

fn piece(at: u32) {
    let sample = at / ACROSS;
    if (sample >= uniforms.rows) {
        return;
    }
    let group = at % ACROSS;
    let start = batches[uniforms.batch_offset + STARTS + sample];
    let end = batches[uniforms.batch_offset + STARTS + sample + 1u];
    let place_of_x = X + sample * X_STRIDE + 4u * group;
    let place_of_argmax = ARGMAX + sample * ARGMAX_STRIDE + 4u * group;
    var pooled = vec4<f32>();
    var numbers = vec4<f32>();
    // Whether a shard has held any of the values.
    var seen = false;
    if (FIRST_ROW > 0u) {
        pooled = load4(place_of_x);
        if (LARGEST) {
            for (var place = start; place < end; place += 1u) {
                seen = seen || tag_row(place) < FIRST_ROW;
            }
            if (NOTED) {
                numbers = load4(place_of_argmax);
            }
        }
    }
    for (var place = start; place < end; place += 1u) {
        let row = tag_row(place);
        if (in_shard(row)) {
            let values = tag_values(row, group);
            if (LARGEST) {
                let number = vec4<f32>(f32(place - start));
                // Of equal ones the first counts, whichever shard holds it.
                let earlier = (values == pooled) & (number < numbers);
                let better = vec4<bool>(!seen) | (values > pooled) | earlier;
                pooled = select(pooled, values, better);
                numbers = select(numbers, number, better);
                seen = true;
            } else {
                pooled += bitcast<f32>(batches[uniforms.batch_offset + FACTORS + place]) * values;
            }
        }
    }
    if (SHIFT == 0u && 4u * group + 4u <= WIDTH) {
        store4(place_of_x, pooled);
    } else {
        // Other columns of the group are those of other fields.
        for (var i = 0u; i < 4u; i += 1u) {
            if (4u * group + i - SHIFT < WIDTH) {
                store(place_of_x + i, pooled[i]);
            }
        }
    }
    if (NOTED) {
        store4(place_of_argmax, numbers);
    }
}
