// y = act(Σ x W + Σ views + b) ⊙ act', for many items: a block of samples by a workgroup. The kernel's first quad of
// descriptors says how many groups of items there are; a group begins with a quad of which z is the number of its items.
#import affine_item
#import block_main
#import block_product

// The products of one kind of a block's rows with what is staged of them: rows of one scenario after the other.
fn add_staged(
    item: Item, term: Term, k: u32, col: u32, first: u32, local: u32,
    sums: ptr<function, array<vec4<f32>, BLOCK>>,
) {
    if (!ROUTED || term.scenario_stride == 0u) {
        add_run(item, term, term.weight, k, col, vec2<u32>(0u, BLOCK), local, sums);
        return;
    }
    let count = min(BLOCK, uniforms.rows - first);
    for (var begin = 0u; begin < count; ) {
        let own = scenario(first + begin);
        var end = begin + 1u;
        while (end < count && scenario(first + min(end, count - 1u)) == own) {
            end += 1u;
        }
        add_run(item, term, term.weight + own * term.scenario_stride, k, col, vec2<u32>(begin, end), local, sums);
        begin = end;
    }
}

fn add_run(
    item: Item, term: Term, weight: u32, k: u32, pass_col: u32, rows: vec2<u32>, local: u32,
    sums: ptr<function, array<vec4<f32>, BLOCK>>,
) {
    if (term.transposed) {
        let col = pass_col + 4u * (local % 32u);
        if (col < item.width) {
            add_columns(weight + col + k * term.stride_w, term.stride_w, k, term.inner, rows, local, sums);
        }
    } else {
        let col = pass_col + 4u * (local / 8u);
        if (col < item.width) {
            let n = min(col + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(item.width - 1u));
            add_rows(weight + n * term.stride_w + k, k, term.inner, rows, local, sums);
        }
    }
}

// Columns col..col + 127 of an item. Where items share four columns, which are stored together, one invocation finishes all
// of a sample's.
fn compute_pass(item: Item, col: u32, alone: bool, first: u32, local: u32) {
    var totals: array<vec4<f32>, OWN>;
    // Products with rows of weights and those with columns are shared out differently, hence apart.
    for (var kind = 0u; kind < 2u; kind += 1u) {
        var sums: array<vec4<f32>, BLOCK>;
        var any = false;
        for (var i = 0u; i < item.term_count; i += 1u) {
            let term = read_term(item, i);
            if (term.transposed == (kind == 1u)) {
                any = true;
                for (var k = 0u; k < term.inner; k += 4u * STAGED) {
                    stage(term.x, term.stride, term.inner, k, first, local);
                    add_staged(item, term, k, col, first, local, &sums);
                }
            }
        }
        if (any) {
            collect(kind == 0u, local, &sums, &totals);
        }
    }
    if (ALIGNED || alone) {
        let own = col + 4u * (local % 32u);
        for (var u = 0u; u < OWN; u += 1u) {
            let row = first + 8u * u + local / 32u;
            if (row < uniforms.rows && own < item.width) {
                finish(item, row, own, totals[u]);
            }
        }
    } else {
        workgroupBarrier();
        for (var u = 0u; u < OWN; u += 1u) {
            tile[u * WORKGROUP + local] = totals[u];
        }
        workgroupBarrier();
        if (local < BLOCK && first + local < uniforms.rows) {
            for (var quad = 0u; quad < 32u && col + 4u * quad < item.width; quad += 1u) {
                finish(item, first + local, col + 4u * quad, tile[local * 32u + quad]);
            }
        }
    }
}

fn block(first: u32, local: u32, at: u32) {
    let groups = table[at].x;
    var item_at = at + 1u;
    for (var group = 0u; group < groups; group += 1u) {
        let items = table[item_at].z;
        for (var i = 0u; i < items; i += 1u) {
            if (i > 0u) {
                storageBarrier();
            }
            let item = read_item(item_at);
            for (var col = 0u; col < item.width; col += PASS) {
                compute_pass(item, col, items == 1u, first, local);
            }
            item_at = item.next;
        }
    }
}
