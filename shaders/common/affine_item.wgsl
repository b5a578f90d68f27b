// What an affine dispatch computes, as its table says it. An item is a range of columns of one output,
// y = act(Σ x W + Σ views + b) ⊙ act', and is described by HEAD quads, two for every product and one for every view.
// Several items one after another may be computed by the same invocations, where they share groups of four columns.
#import epilogue
#import groups
#import memory

@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> batches: array<u32>;

// Whether all products and views begin at multiples of four values.
const ALIGNED: bool = true;
// Whether rows are tokens.
const TOKENS: bool = false;
// Whether samples read weights of their scenario, and where a batch lists the scenarios.
const ROUTED: bool = false;
const SCENARIOS: u32 = 0u;
const NONE: u32 = 0xffffffffu;
const HEAD: u32 = 5u;

struct Item {
    // Where the next item's description begins.
    next: u32,
    // Address of the first value, from row to row, columns, and the first of them among those that dropout tells apart.
    y: u32,
    stride: u32,
    width: u32,
    begin: u32,
    // Columns of the output that dropout tells apart.
    across: u32,
    // Place of the bias, or NONE, and from one scenario's to the next.
    bias: u32,
    bias_route: u32,
    activation: u32,
    dropout: f32,
    salt: u32,
    // 0 open, 1 ReLU's derivative times the scale, 2 the sigmoid's, 3 the leaky ReLU's with the scale as its slope.
    grad: u32,
    grad_scale: f32,
    grad_at: u32,
    grad_stride: u32,
    // Where the descriptions of products and views begin, and how many there are.
    terms: u32,
    term_count: u32,
    adds: u32,
    add_count: u32,
}

fn read_item(at: u32) -> Item {
    let a = table[at + 1u];
    let b = table[at + 2u];
    let c = table[at + 3u];
    let d = table[at + 4u];
    let terms = at + HEAD;
    let adds = terms + 2u * d.y;
    return Item(
        adds + d.z, a.x, a.y, a.z, a.w, b.x, d.x, d.w, b.y, bitcast<f32>(b.z), b.w, c.x, bitcast<f32>(c.y), c.z, c.w, terms,
        d.y, adds, d.z);
}

struct Term {
    // Address of the first value, from row to row, and how many columns.
    x: u32,
    stride: u32,
    inner: u32,
    // Place of the first weight, from row to row, from one scenario's weights to the next, and whether its columns are
    // outputs and not its rows.
    weight: u32,
    stride_w: u32,
    scenario_stride: u32,
    transposed: bool,
}

fn read_term(item: Item, number: u32) -> Term {
    let a = table[item.terms + 2u * number];
    let b = table[item.terms + 2u * number + 1u];
    return Term(a.x, a.y, a.z, b.x, b.y, b.z, a.w == 1u);
}

// How many rows there are.
fn row_count() -> u32 {
    return select(uniforms.rows, uniforms.tokens, TOKENS);
}

// The scenario of a sample.
fn scenario(row: u32) -> u32 {
    return batches[uniforms.batch_offset + SCENARIOS + row];
}

// Four parameters from any place on, if not all is aligned.
fn parameters4(at: u32) -> vec4<f32> {
    var values: vec4<f32>;
    if (ALIGNED) {
        values = parameters[at / 4u];
    } else {
        values = vec4<f32>(parameter(at), parameter(at + 1u), parameter(at + 2u), parameter(at + 3u));
    }
    return values;
}

fn parameter(at: u32) -> f32 {
    return parameters[at / 4u][at % 4u];
}

// Four columns from `col` on of an item, given the sum of its products: adds the rest and stores them.
fn finish(item: Item, row: u32, col: u32, products: vec4<f32>) {
    var sum = products;
    if (item.bias != NONE) {
        var bias = item.bias + col;
        if (ROUTED) {
            bias += scenario(row) * item.bias_route;
        }
        sum += parameters4(bias);
    }
    for (var i = 0u; i < item.add_count; i += 1u) {
        // Address, from row to row, and where the rows read are listed in a batch, plus 1; 0 where they are the same.
        let view = table[item.adds + i];
        var source = row;
        if (view.z > 0u) {
            source = batches[uniforms.batch_offset + view.z - 1u + row];
        }
        sum += load_some4(view.x + source * view.y + col, item.width - col, ALIGNED);
    }
    var y = epilogue(sum, item.activation, item.dropout, item.salt, row * item.across + item.begin + col);
    if (item.grad > 0u) {
        let stored = load_some4(item.grad_at + row * item.grad_stride + col, item.width - col, ALIGNED);
        if (item.grad == 1u) {
            y *= select(vec4<f32>(), vec4<f32>(item.grad_scale), stored > vec4<f32>());
        } else if (item.grad == 2u) {
            y *= stored * (1.0 - stored);
        } else {
            y *= select(vec4<f32>(item.grad_scale), vec4<f32>(1.0), stored > vec4<f32>());
        }
    }
    let at = item.y + row * item.stride + col;
    if (ALIGNED) {
        // Where an item ends within four columns, the output does, and what follows is padding.
        store4(at, y);
    } else {
        store_some(at, item.width - col, y);
    }
}
