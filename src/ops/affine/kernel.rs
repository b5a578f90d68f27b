//! The dispatches of affine nodes and of weight gradients: each is one, whatever it computes, and reads from a table
//! what that is.

use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, RowExtent, TensorId};
use crate::ops::affine::epilogue::LEAK;
use crate::ops::descriptors::{Groups, NONE, TILES_PER_GROUP};
use crate::ops::{
    ActivationGrad, Affine, Arg, BLOCK_INVOCATIONS, GradItem, GradPair, Item, Kernel, Location, RowMap, Target, Term,
    View, WeightGrads,
};

/// What one invocation computes in registers (`affine.wgsl`, `weight_grads.wgsl`), and how many share a workgroup.
#[derive(Clone, Copy)]
struct Tile {
    /// Samples, or rows of a gradient.
    rows: usize,
    /// Columns, a multiple of 4.
    cols: usize,
    /// Invocations of a workgroup.
    group: usize,
}

impl Tile {
    /// Of products. A software renderer pays for loads, and keeps what does not fit registers in a near cache: large
    /// tiles, in small groups that share the work evenly. A GPU has some two hundred registers for an invocation and
    /// computes 32 or 64 of them at once.
    fn of_products(target: &Target) -> Self {
        match target.class {
            DeviceClass::Software => Self { rows: 16, cols: 16, group: TILES_PER_GROUP },
            DeviceClass::Hardware => Self { rows: 4, cols: 8, group: 64 },
        }
    }

    /// Of sums over the samples, likewise; as many rows as columns.
    fn of_sums(target: &Target) -> Self {
        match target.class {
            DeviceClass::Software => Self { rows: 16, cols: 16, group: TILES_PER_GROUP },
            // A workgroup's.
            DeviceClass::Hardware => Self { rows: target.grad_tile, cols: target.grad_tile, group: 1 },
        }
    }
}

fn bits(value: f64) -> u32 {
    (value as f32).to_bits()
}

/// Addresses of a node's tensors, and whether all that was asked for began at a multiple of 4 values.
struct Addresses<'a> {
    node: &'a Node,
    target: &'a Target,
    aligned: bool,
}

impl Addresses<'_> {
    fn input(&self, input: usize) -> Location {
        self.target.location(self.node.inputs[input])
    }

    fn output(&self, output: usize) -> Location {
        self.target.location(self.node.outputs[output])
    }

    /// The address, noted.
    fn note(&mut self, address: u32) -> u32 {
        self.aligned &= address.is_multiple_of(4);
        address
    }

    /// Address and distance from row to row of a view.
    fn view(&mut self, view: View) -> [u32; 2] {
        let place = self.input(view.input);
        [self.note(place.at(0, view.from)), place.stride]
    }

    /// The two quads of a product.
    fn term(&mut self, term: &Term) -> [[u32; 4]; 2] {
        let [x, stride] = self.view(term.x);
        let w = self.input(term.weight);
        let weight = self.note(w.at(term.row, term.col));
        let scenario_stride = w.stride * term.scenario_stride as u32;
        [[x, stride, term.inner as u32, u32::from(term.transposed)], [weight, w.stride, scenario_stride, 0]]
    }

    /// The description of an item, but for its first quad.
    fn item(&mut self, item: &Item, across: usize) -> Vec<[u32; 4]> {
        let y = self.output(item.output);
        let [bias, bias_route] = item.bias.map_or([NONE, 0], |bias| {
            let place = self.input(bias.input);
            [self.note(place.at(0, bias.from)), self.note(bias.scenario_stride as u32)]
        });
        let (activation_grad, scale, [grad_at, grad_stride]) = match item.activation_grad {
            None => (0, 0, [0, 0]),
            Some((view, ActivationGrad::Relu { scale })) => (1, bits(scale), self.view(view)),
            Some((view, ActivationGrad::Sigmoid)) => (2, 0, self.view(view)),
            Some((view, ActivationGrad::LeakyRelu)) => (3, bits(LEAK), self.view(view)),
        };
        let epilogue = item.epilogue;
        let masked = epilogue.masked(across);
        let begin = item.to % masked;
        assert!(epilogue.shared_mask == 1 || begin + item.width <= masked, "affine: an item is of one network");
        let mut quads = vec![
            [self.note(y.at(0, item.to)), y.stride, item.width as u32, begin as u32],
            [masked as u32, epilogue.activation.code() as u32, bits(epilogue.dropout), epilogue.salt],
            [activation_grad, scale, grad_at, grad_stride],
            [bias, item.terms.len() as u32, item.adds.len() as u32, bias_route],
        ];
        quads.extend(item.terms.iter().flat_map(|term| self.term(term)));
        quads.extend(item.adds.iter().map(|&add| {
            let [address, stride] = self.view(add);
            let rows = match add.rows {
                RowMap::Same => 0,
                RowMap::Shuffled => self.target.batch_layout.shuffle + 1,
                RowMap::Unshuffled => self.target.batch_layout.unshuffle + 1,
            };
            [address, stride, rows as u32, 0]
        }));
        quads
    }
}

/// Items that share groups of four columns of an output, one after another: one invocation must write such a group.
fn clusters(op: &Affine) -> Vec<Vec<&Item>> {
    let mut items: Vec<&Item> = op.items.iter().collect();
    items.sort_by_key(|item| (item.output, item.to));
    let mut clusters: Vec<Vec<&Item>> = Vec::new();
    for item in items {
        match clusters.last_mut() {
            Some(cluster) if cluster[0].output == item.output && !item.to.is_multiple_of(4) => cluster.push(item),
            _ => clusters.push(vec![item]),
        }
    }
    clusters
}

/// The dispatch by blocks of samples (`affine_block.wgsl`).
fn block_kernel(op: &Affine, node: &Node, graph: &Graph, target: &Target) -> Kernel {
    let mut addresses = Addresses { node, target, aligned: true };
    let clusters = clusters(op);
    let mut quads = vec![[clusters.len() as u32, 0, 0, 0]];
    for cluster in &clusters {
        for item in cluster {
            quads.push([0, 0, cluster.len() as u32, 0]);
            quads.extend(addresses.item(item, graph.width(node.outputs[item.output])));
        }
    }
    let kernel = target.block_kernel("affine_block");
    Kernel { descriptors: quads.into_iter().flatten().collect(), ..common(kernel, op, &addresses) }
}

/// Adds what `affine_item.wgsl` wants.
fn common(kernel: Kernel, op: &Affine, addresses: &Addresses<'_>) -> Kernel {
    kernel
        .with("ALIGNED", addresses.aligned)
        .with("ROUTED", op.is_routed())
        .with("SCENARIOS", addresses.target.batch_layout.scenarios.unwrap_or(0))
        .bind([Arg::Descriptors, Arg::Parameters, Arg::Batches])
}

pub(crate) fn kernels(op: &Affine, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let tokens = is_tokens(graph, node.outputs[0]);
    if target.class == DeviceClass::Hardware && !tokens {
        return vec![block_kernel(op, node, graph, target)];
    }
    let mut addresses = Addresses { node, target, aligned: true };
    let mut groups = Groups::default();
    let tile = Tile::of_products(target);
    let down = target.rows(tokens).div_ceil(tile.rows);
    for cluster in clusters(op) {
        let width = cluster[0].width;
        let across = if cluster.len() == 1 { width.div_ceil(tile.cols) } else { 1 };
        groups.begin((down * across).div_ceil(tile.group));
        for item in &cluster {
            let head = [across as u32, cluster.len() as u32];
            groups.item(head, addresses.item(item, graph.width(node.outputs[item.output])));
        }
    }
    let kernel = target
        .kernel("affine", groups.count() * tile.group)
        .with("ROWS", tile.rows)
        .with("QUADS", tile.cols / 4)
        .with("TOKENS", tokens)
        .in_groups_of(tile.group as u32);
    vec![groups.into_descriptors(common(kernel, op, &addresses))]
}

/// In how many parts a batch is summed where `tiles` workgroups would do.
pub(crate) fn parts(target: &Target, tiles: usize) -> usize {
    match target.class {
        DeviceClass::Software => 1,
        DeviceClass::Hardware => target.sum_workgroups.div_ceil(tiles).clamp(1, target.parts),
    }
}

fn is_tokens(graph: &Graph, tensor: TensorId) -> bool {
    matches!(graph.shape(tensor).rows, RowExtent::Tokens(_))
}

pub(crate) fn weight_grads(op: &WeightGrads, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let mut addresses = Addresses { node, target, aligned: true };
    let mut groups = Groups::default();
    let tile = Tile::of_sums(target);
    let tiles = |item: &GradItem| item.rows.div_ceil(tile.rows) * item.cols.div_ceil(tile.cols);
    let parts = parts(target, op.items.iter().map(tiles).sum());
    for item in &op.items {
        groups.begin((tiles(item) * parts).div_ceil(tile.group));
        let gradient = addresses.output(item.output);
        let mut quads = vec![
            [item.rows as u32, item.cols as u32, gradient.at(item.row, item.col), gradient.stride],
            [parts as u32, target.capacity.div_ceil(parts) as u32, target.parameters as u32, item.pairs.len() as u32],
        ];
        quads.extend(item.pairs.iter().flat_map(|&GradPair { dz, x, scenario }| {
            assert!(dz.rows == RowMap::Same && x.is_none_or(|x| x.rows == RowMap::Same), "sums are of the same sample");
            let tokens = is_tokens(graph, node.inputs[dz.input]);
            let of_part = if tokens { target.tokens.div_ceil(parts) as u32 } else { 0 };
            let [dz, dz_stride] = addresses.view(dz);
            let [x, x_stride] = x.map_or([NONE, 0], |x| addresses.view(x));
            [[dz, dz_stride, x, x_stride], [scenario.map_or(0, |scenario| scenario as u32 + 1), of_part, 0, 0]]
        }));
        groups.item([0, 0], quads);
    }
    let kernel = match target.class {
        DeviceClass::Software => target
            .kernel("weight_grads", groups.count() * tile.group)
            .with("QUADS", tile.cols / 4)
            .in_groups_of(tile.group as u32),
        DeviceClass::Hardware => target
            .kernel("weight_grads_tile", groups.count() * BLOCK_INVOCATIONS)
            .with("SIDE", target.grad_tile)
            .by_tiles(),
    };
    let kernel =
        kernel.with("ALIGNED", addresses.aligned).with("SCENARIOS", target.batch_layout.scenarios.unwrap_or(0));
    let kernel = kernel.bind([Arg::Descriptors, Arg::Gradients, Arg::Batches]);
    vec![groups.into_descriptors(kernel)]
}
