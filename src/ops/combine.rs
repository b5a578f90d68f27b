//! Sums and rearranges column ranges: concatenation, slices, additions, shuffles and their gradients.

use super::{Activation, Arg, Cost, Cpu, Epilogue, Kernel, Op, Operation, Target};
use crate::cpu::{Real, for_row_blocks};
use crate::graph::{Graph, Node, Rows, Shape, TensorId};

/// Which sample's row a piece reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowMap {
    /// The same sample's.
    #[default]
    Same,
    /// That of sample π(b).
    Shuffled,
    /// That of the sample which π sends here: the gradient of `Shuffled`.
    Unshuffled,
}

impl RowMap {
    fn code(self) -> usize {
        match self {
            Self::Same => 0,
            Self::Shuffled => 1,
            Self::Unshuffled => 2,
        }
    }

    fn inverse(self) -> Self {
        match self {
            Self::Same => Self::Same,
            Self::Shuffled => Self::Unshuffled,
            Self::Unshuffled => Self::Shuffled,
        }
    }
}

/// Columns `from..from + width` of input `input`, added to columns `to..to + width` of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which input.
    pub input: usize,
    /// First column read.
    pub from: usize,
    /// First column written.
    pub to: usize,
    /// Columns.
    pub width: usize,
    /// Which row is read.
    pub rows: RowMap,
}

/// The derivative of an activation, from what it stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Gate {
    /// No activation.
    #[default]
    Open,
    /// `scale` where the stored value is positive, 0 elsewhere: ReLU, and dropout's 1/(1 − p).
    Relu {
        /// Factor of the kept values.
        scale: f64,
    },
    /// y (1 − y).
    Sigmoid,
}

impl Gate {
    fn code(self) -> usize {
        match self {
            Self::Open => 0,
            Self::Relu { .. } => 1,
            Self::Sigmoid => 2,
        }
    }
}

/// y = act(Σ pieces) ⊙ gate: every output column is the sum of the pieces that cover it.
///
/// Inputs: those the pieces name, then the stored activation if there is a gate. Output: [rows, width].
#[derive(Clone, Debug, PartialEq)]
pub struct Combine {
    /// Columns of the output.
    pub width: usize,
    /// What is summed; columns that no piece covers are 0.
    pub pieces: Vec<Piece>,
    /// Applied to the sum.
    pub activation: Activation,
    /// Multiplies the sum.
    pub gate: Gate,
}

/// Pieces one dispatch can take: eight storage buffers less the output, the gate and the slot.
const PIECES: usize = 5;

impl Combine {
    /// Adds the nodes that sum `pieces`, each of a tensor; more pieces than a dispatch takes are summed in turns.
    pub fn sum(
        graph: &mut Graph,
        name: &str,
        width: usize,
        pieces: &[(TensorId, Piece)],
        activation: Activation,
    ) -> TensorId {
        let (now, later) = pieces.split_at(pieces.len().min(PIECES));
        if later.is_empty() {
            return Self::node(graph, name, width, now, activation, None);
        }
        let partial = Self::node(graph, name, width, now, Activation::None, None);
        let carried = Piece { input: 0, from: 0, to: 0, width, rows: RowMap::Same };
        let rest: Vec<_> = std::iter::once((partial, carried)).chain(later.iter().copied()).collect();
        Self::sum(graph, name, width, &rest, activation)
    }

    /// Columns `from..from + width` of `tensor`.
    pub fn slice(graph: &mut Graph, name: &str, tensor: TensorId, from: usize, width: usize) -> TensorId {
        let piece = Piece { input: 0, from, to: 0, width, rows: RowMap::Same };
        Self::sum(graph, name, width, &[(tensor, piece)], Activation::None)
    }

    /// The tensors side by side.
    pub fn concat(graph: &mut Graph, name: &str, tensors: &[TensorId]) -> TensorId {
        let mut to = 0;
        let mut pieces = Vec::new();
        for &tensor in tensors {
            let width = graph.width(tensor);
            pieces.push((tensor, Piece { input: 0, from: 0, to, width, rows: RowMap::Same }));
            to += width;
        }
        Self::sum(graph, name, to, &pieces, Activation::None)
    }

    /// The sum of tensors of one shape.
    pub fn total(graph: &mut Graph, name: &str, tensors: &[TensorId]) -> TensorId {
        let width = graph.width(tensors[0]);
        let piece = Piece { input: 0, from: 0, to: 0, width, rows: RowMap::Same };
        let pieces: Vec<_> = tensors.iter().map(|&tensor| (tensor, piece)).collect();
        Self::sum(graph, name, width, &pieces, Activation::None)
    }

    /// The gradient before an epilogue, from the gradient `dy` after it and the stored result `y`.
    pub fn through(graph: &mut Graph, name: &str, dy: TensorId, y: TensorId, epilogue: Epilogue) -> TensorId {
        let gate = match epilogue.activation {
            Activation::None => return dy,
            Activation::Relu => Gate::Relu { scale: 1.0 / (1.0 - epilogue.dropout) },
            Activation::Sigmoid => Gate::Sigmoid,
        };
        let width = graph.width(dy);
        let piece = Piece { input: 0, from: 0, to: 0, width, rows: RowMap::Same };
        Self::node(graph, name, width, &[(dy, piece)], Activation::None, Some((y, gate)))
    }

    fn node(
        graph: &mut Graph,
        name: &str,
        width: usize,
        pieces: &[(TensorId, Piece)],
        activation: Activation,
        gate: Option<(TensorId, Gate)>,
    ) -> TensorId {
        let mut inputs = Vec::new();
        let pieces = pieces
            .iter()
            .map(|&(tensor, piece)| {
                let input = inputs.iter().position(|&t| t == tensor).unwrap_or_else(|| {
                    inputs.push(tensor);
                    inputs.len() - 1
                });
                Piece { input, ..piece }
            })
            .collect();
        let mut op = Self { width, pieces, activation, gate: Gate::Open };
        if let Some((stored, gate)) = gate {
            inputs.push(stored);
            op.gate = gate;
        }
        graph.add_one(name, op, &inputs)
    }

    /// This node with the pieces of input number `index` replaced by those of `inner`, which makes that input; `None`
    /// where that is not the same computation or takes too many pieces. Returns the operation and its inputs.
    pub fn inline(
        &self,
        inputs: &[TensorId],
        index: usize,
        inner: &Combine,
        inner_inputs: &[TensorId],
    ) -> Option<(Self, Vec<TensorId>)> {
        if inner.activation != Activation::None || inner.gate != Gate::Open {
            return None;
        }
        let stored = (self.gate != Gate::Open).then(|| inputs[inputs.len() - 1]);
        let mut pieces: Vec<(TensorId, Piece)> = Vec::new();
        for outer in &self.pieces {
            if outer.input != index {
                pieces.push((inputs[outer.input], *outer));
                continue;
            }
            for piece in &inner.pieces {
                // The columns both the outer piece reads and the inner piece writes.
                let first = outer.from.max(piece.to);
                let end = (outer.from + outer.width).min(piece.to + piece.width);
                if first >= end {
                    continue;
                }
                let rows = match (outer.rows, piece.rows) {
                    (RowMap::Same, rows) | (rows, RowMap::Same) => rows,
                    (RowMap::Shuffled, RowMap::Unshuffled) | (RowMap::Unshuffled, RowMap::Shuffled) => RowMap::Same,
                    _ => return None,
                };
                let from = piece.from + (first - piece.to);
                let to = outer.to + (first - outer.from);
                pieces.push((inner_inputs[piece.input], Piece { input: 0, from, to, width: end - first, rows }));
            }
        }
        // Without pieces there would be no input to tell the rows by: what nothing covers stays a node of zeros.
        if pieces.is_empty() || pieces.len() > PIECES {
            return None;
        }
        let mut tensors: Vec<TensorId> = Vec::new();
        for (tensor, piece) in &mut pieces {
            piece.input = tensors.iter().position(|t| t == tensor).unwrap_or_else(|| {
                tensors.push(*tensor);
                tensors.len() - 1
            });
        }
        tensors.extend(stored);
        let pieces = pieces.into_iter().map(|(_, piece)| piece).collect();
        Some((Self { pieces, ..self.clone() }, tensors))
    }

    fn gate_value<T: Real>(&self, stored: T) -> T {
        match self.gate {
            Gate::Open => T::one(),
            Gate::Relu { scale } if stored > T::zero() => T::of(scale),
            Gate::Relu { .. } => T::zero(),
            Gate::Sigmoid => stored * (T::one() - stored),
        }
    }
}

impl Operation for Combine {
    fn name(&self) -> &'static str {
        "combine"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(self.pieces.len() <= PIECES, "combine: at most {PIECES} pieces");
        for piece in &self.pieces {
            assert!(piece.from + piece.width <= inputs[piece.input].cols, "combine: reads past its input");
            assert!(piece.to + piece.width <= self.width, "combine: writes past its output");
            assert_eq!(inputs[piece.input].rows, inputs[0].rows, "combine: rows differ");
        }
        vec![Shape { rows: inputs[0].rows, cols: self.width }]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; node.inputs.len()] };
        assert_eq!(self.gate, Gate::Open, "gates only occur in backward passes");
        let dz = Self::through(graph, &node.name, dy, node.outputs[0], Epilogue::new(self.activation));
        (0..node.inputs.len())
            .map(|input| {
                let pieces: Vec<_> = self
                    .pieces
                    .iter()
                    .filter(|piece| piece.input == input)
                    .map(|piece| {
                        (dz, Piece { input: 0, from: piece.to, to: piece.from, rows: piece.rows.inverse(), ..*piece })
                    })
                    .collect();
                let width = graph.width(node.inputs[input]);
                Some(Self::sum(graph, &node.name, width, &pieces, Activation::None))
            })
            .collect()
    }

    fn inference(&self) -> Op {
        // Only training steps have a π in their slots.
        assert!(self.pieces.iter().all(|piece| piece.rows == RowMap::Same), "combine: logits depend on a shuffle");
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let rows = graph.shape(node.outputs[0]).len(batch) / self.width;
        let read: usize = self.pieces.iter().map(|piece| piece.width).sum();
        let gate = if self.gate == Gate::Open { 0 } else { self.width };
        Cost { flops: (rows * (read + gate)) as u64, bytes: (4 * rows * (read + gate + self.width)) as u64 }
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let rows = match cpu.shapes[0].rows {
            Rows::Batch => cpu.rows(),
            Rows::Fixed(rows) => rows,
        };
        let stored = (self.gate != Gate::Open).then(|| cpu.inputs[cpu.inputs.len() - 1]);
        for_row_blocks(&mut outputs[0][..rows * self.width], self.width, |first, block| {
            block.fill(T::zero());
            for (i, out) in block.chunks_exact_mut(self.width).enumerate() {
                let row = first + i;
                for piece in &self.pieces {
                    let source = match piece.rows {
                        RowMap::Same => row,
                        RowMap::Shuffled => cpu.words[cpu.schedule.shuffle + row] as usize,
                        RowMap::Unshuffled => cpu.words[cpu.schedule.unshuffle + row] as usize,
                    };
                    let from = source * cpu.shapes[piece.input].cols + piece.from;
                    let values = &cpu.inputs[piece.input][from..from + piece.width];
                    for (y, &x) in out[piece.to..].iter_mut().zip(values) {
                        *y += x;
                    }
                }
                if self.activation != Activation::None {
                    for y in out.iter_mut() {
                        *y = Epilogue::new(self.activation).apply(*y, 0, cpu.clock);
                    }
                }
                if let Some(stored) = stored {
                    for (y, &s) in out.iter_mut().zip(&stored[row * self.width..]) {
                        *y *= self.gate_value(s);
                    }
                }
            }
        });
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        const NAMES: [[&str; 5]; PIECES] = [
            ["A_FROM", "A_TO", "A_WIDTH", "A_STRIDE", "A_ROWS"],
            ["B_FROM", "B_TO", "B_WIDTH", "B_STRIDE", "B_ROWS"],
            ["C_FROM", "C_TO", "C_WIDTH", "C_STRIDE", "C_ROWS"],
            ["D_FROM", "D_TO", "D_WIDTH", "D_STRIDE", "D_ROWS"],
            ["E_FROM", "E_TO", "E_WIDTH", "E_STRIDE", "E_ROWS"],
        ];
        let shape = graph.shape(node.outputs[0]);
        let mut kernel = Kernel::new("combine", shape.len(target.capacity))
            .with("WIDTH", self.width)
            .with("FIXED_ROWS", if let Rows::Fixed(rows) = shape.rows { rows } else { 0 })
            .with("SHUFFLE", target.schedule.shuffle)
            .with("UNSHUFFLE", target.schedule.unshuffle)
            .with("ACTIVATION", self.activation.code())
            .with("GATE", self.gate.code());
        if let Gate::Relu { scale } = self.gate {
            kernel = kernel.with("GATE_SCALE", scale);
        }
        for (piece, [from, to, width, stride, rows]) in self.pieces.iter().zip(NAMES) {
            kernel = kernel
                .with(from, piece.from)
                .with(to, piece.to)
                .with(width, piece.width)
                .with(stride, graph.width(node.inputs[piece.input]))
                .with(rows, piece.rows.code())
                .bind([Arg::Input(piece.input)]);
        }
        // Bindings of pieces that are not there repeat a buffer; their width is 0, so nothing is read.
        let unused = PIECES - self.pieces.len();
        let stored = if self.gate == Gate::Open { 0 } else { node.inputs.len() - 1 };
        vec![kernel.bind(vec![Arg::Input(0); unused]).bind([Arg::Input(stored), Arg::Schedule, Arg::Output(0)])]
    }
}
