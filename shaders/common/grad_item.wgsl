// What a dispatch that sums gradients over a batch computes, as its table says it: a matrix of `rows` × `cols` values
// that lies in the gradients' buffer, the sum over pairs of tensors. The batch is cut in parts, each of which has a copy
// of the buffer.
#import uniforms
#import groups
#import memory

@group(0) @binding(4) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(5) var<storage, read> batches: array<u32>;

// Whether all views begin at multiples of four values.
const ALIGNED: bool = true;
const NONE: u32 = 0xffffffffu;
// Where a batch lists the samples' scenarios.
const SCENARIOS: u32 = 0u;

struct Item {
    rows: u32,
    cols: u32,
    // Where it begins in this part's copy of the gradients, and from row to row.
    gradient: u32,
    stride: u32,
    // This part, of how many, and its samples.
    part: u32,
    parts: u32,
    start: u32,
    end: u32,
    // Where the descriptions of the pairs begin, and how many there are.
    pairs: u32,
    pair_count: u32,
}

fn read_item(at: u32, part: u32) -> Item {
    // Parts, samples of one, values of a copy, pairs.
    let a = table[at + 2u];
    let b = table[at + 1u];
    let start = min(part * a.y, uniforms.rows);
    let end = min(start + a.y, uniforms.rows);
    return Item(b.x, b.y, b.z + part * a.z, b.w, part, a.x, start, end, at + 3u, a.w);
}

struct Pair {
    // Addresses and distances from row to row; without x the columns of dz are summed.
    dz: u32,
    dz_stride: u32,
    x: u32,
    x_stride: u32,
    // The scenario whose samples are summed, plus 1; 0 for all samples.
    scenario: u32,
    // Rows summed: samples, or tokens.
    start: u32,
    end: u32,
}

fn read_pair(item: Item, number: u32) -> Pair {
    let a = table[item.pairs + 2u * number];
    // The scenario, and tokens of one part if rows are tokens.
    let b = table[item.pairs + 2u * number + 1u];
    var pair = Pair(a.x, a.y, a.z, a.w, b.x, item.start, item.end);
    if (b.y > 0u) {
        pair.start = min(item.part * b.y, uniforms.tokens);
        pair.end = min(pair.start + b.y, uniforms.tokens);
    }
    return pair;
}
