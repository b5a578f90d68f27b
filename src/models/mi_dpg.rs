//! `mi-dpg`: mutual-information regularised decomposable parameter generation, for multi-scenario conversion
//! prediction.
//!
//! A network whose weights are scaled, sample by sample, by a matrix generated from the scenario-aware fields
//! (section 2.2), and a regulariser that keeps those matrices telling of their scenario (section 2.3). Without the
//! regulariser it is the paper's DPG.

use serde::{Deserialize, Serialize};

use super::{Error, Inputs, Model, check_network, require};
use crate::graph::{Graph, Probed};
use crate::layers::{
    Decomposition, Discriminator, Layer, RowAxis, Weighting, WeightingOptions, cross_entropy, hidden_epilogue,
};
use crate::ops::{Activation, Affine, Epilogue, Repeat};

/// Over which layers L_mi is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirReduce {
    /// The mean of all weighted layers.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// The last weighted layer alone.
    Last,
}

/// How π pairs a sample's weighting matrix with another's aware fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirNegatives {
    /// A random permutation of the batch.
    #[default]
    Shuffle,
    /// A random permutation in which the scenario differs wherever it can.
    OtherScenario,
}

/// Options of MI-DPG; defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MiDpg {
    /// Length of an embedding, D.
    pub width: usize,
    /// Sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// Probability that a hidden value is dropped in training.
    pub dropout: f64,
    /// Which factors of the weighting matrix are generated.
    pub decomposition: Decomposition,
    /// d_r = size of the row axis / `row_div`.
    pub row_div: usize,
    /// d_c = size of the column axis / `col_div`.
    pub col_div: usize,
    /// Rank of the core.
    pub d_k: usize,
    /// How ψ repeats the core over the weight.
    pub repeat: Repeat,
    /// What the rows of S run over.
    pub row_axis: RowAxis,
    /// Factor of S.
    pub weight_scale: f64,
    /// Whether the logit layer is weighted too.
    pub weight_last: bool,
    /// Hidden width of the auxiliary nets G.
    pub auxiliary_hidden: usize,
    /// Whether mutual information is regularised; without it this is DPG.
    pub mir: bool,
    /// Weight of L_mi in the loss; 0 is the same as `mir = false`.
    pub lambda: f64,
    /// Over which layers L_mi is taken.
    pub mir_reduce: MirReduce,
    /// How negatives are drawn.
    pub mir_negatives: MirNegatives,
    /// Hidden width of the discriminators T.
    pub discriminator_hidden: usize,
}

impl Default for MiDpg {
    fn default() -> Self {
        Self {
            width: 16,
            hidden: vec![128, 64, 32],
            dropout: 0.0,
            decomposition: Decomposition::R,
            row_div: 4,
            col_div: 4,
            d_k: 1,
            repeat: Repeat::Interleave,
            row_axis: RowAxis::Output,
            weight_scale: 1.0,
            weight_last: true,
            auxiliary_hidden: 32,
            mir: true,
            lambda: 1.0,
            mir_reduce: MirReduce::Mean,
            mir_negatives: MirNegatives::Shuffle,
            discriminator_hidden: 32,
        }
    }
}

impl MiDpg {
    fn check(&self) -> Result<(), Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        for (name, value) in [
            ("row_div", self.row_div),
            ("col_div", self.col_div),
            ("d_k", self.d_k),
            ("auxiliary_hidden", self.auxiliary_hidden),
            ("discriminator_hidden", self.discriminator_hidden),
        ] {
            require(value > 0, || format!("{name} is 0; expected a whole number of at least 1"))?;
        }
        require(self.weight_scale > 0.0 && self.weight_scale.is_finite(), || {
            format!("weight_scale is {}; expected a number above 0, such as 1 or 2", self.weight_scale)
        })?;
        require(self.lambda >= 0.0 && self.lambda.is_finite(), || {
            format!("lambda is {}; expected a number of at least 0", self.lambda)
        })?;
        require(self.weight_last || !self.hidden.is_empty(), || {
            "weight_last = false with no hidden layers leaves no layer to weight".to_owned()
        })
    }

    fn regularised(&self) -> bool {
        self.mir && self.lambda > 0.0
    }
}

impl Model for MiDpg {
    const NAME: &'static str = "mi-dpg";
    const SUMMARY: &'static str = "MLP whose weights are scaled per sample by a matrix generated from the scenario-aware \
                                   fields, with mutual-information regularisation (DPG without: mir = false)";
    const OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("width", "length of an embedding"),
        ("hidden", "sizes of the hidden layers"),
        ("dropout", "probability that a hidden value is dropped in training"),
        ("decomposition", "\"r\", \"rc\", \"c\" or \"non\": which factors of the weighting matrix are generated"),
        ("row_div", "rows of the weighting matrix that share a value: d_r = size / row_div"),
        ("col_div", "columns of it that share a value: d_c = size / col_div"),
        ("d_k", "rank of the weighting matrix's core"),
        ("repeat", "\"interleave\" (neighbours share a value) or \"tile\""),
        ("row_axis", "\"output\" or \"input\": what the weighting matrix's rows run over"),
        ("weight_scale", "factor of the weighting matrix: 1 as in the paper, 2 to start near 1"),
        ("weight_last", "whether the logit layer is weighted too"),
        ("auxiliary_hidden", "hidden width of the nets that generate factors"),
        ("mir", "mutual-information regularisation; false is DPG"),
        ("lambda", "weight of the regulariser"),
        ("mir_reduce", "\"mean\", \"sum\" or \"last\": over which layers the regulariser is taken"),
        ("mir_negatives", "\"shuffle\" or \"other-scenario\": how its negatives are drawn"),
        ("discriminator_hidden", "hidden width of the discriminators"),
    ];

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.check()?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let aware = embeddings.slice(g, "aware", 0, inputs.aware);
        let options = WeightingOptions {
            decomposition: self.decomposition,
            row_div: self.row_div,
            col_div: self.col_div,
            rank: self.d_k,
            repeat: self.repeat,
            row_axis: self.row_axis,
            scale: self.weight_scale,
            auxiliary_hidden: self.auxiliary_hidden,
        };
        let sizes: Vec<usize> = self.hidden.iter().copied().chain([1]).collect();
        let last = sizes.len() - 1;
        let mut h = embeddings.all;
        let mut weightings = Vec::new();
        for (l, &size) in sizes.iter().enumerate() {
            let epilogue = if l < last { hidden_epilogue(self.dropout, l) } else { Epilogue::default() };
            let name = format!("backbone.{l}");
            if l == last && !self.weight_last {
                h = Layer { epilogue, ..Layer::new(size, Activation::None) }.add(g, &name, h);
                continue;
            }
            // S^l = DWM(e_aw, h^l); y = F_{S^l ⊙ W^l}(h^l)   (equations 1–5)
            let u = Affine::concat(g, &format!("weighting.{l}.input"), &[aware, h]);
            let inputs = g.width(h);
            let weighting = Weighting::new(g, &format!("weighting.{l}"), &options, u, size, inputs).map_err(Error)?;
            h = weighting.layer(g, &name, h, epilogue);
            g.probe(format!("weighting.{l}"), weighting.values, Probed::Vector);
            weightings.push(weighting.values);
        }
        g.logits = Some(h);
        cross_entropy(g, "bce", h);
        if self.regularised() {
            self.add_regulariser(g, aware, &weightings);
        }
        Ok(graph)
    }

    fn negatives(&self) -> Option<MirNegatives> {
        self.regularised().then_some(self.mir_negatives)
    }
}

impl MiDpg {
    /// λ L_mi (equations 6 and 7). Gradient flows to T, to S and to e_aw.
    fn add_regulariser(&self, graph: &mut Graph, aware: crate::graph::TensorId, weightings: &[crate::graph::TensorId]) {
        let discriminator = Discriminator { hidden: self.discriminator_hidden };
        let count = weightings.len();
        let (from, weight) = match self.mir_reduce {
            MirReduce::Mean => (0, 1.0 / count as f64),
            MirReduce::Sum => (0, 1.0),
            MirReduce::Last => (count - 1, 1.0),
        };
        let weightings: Vec<_> = weightings.iter().copied().enumerate().skip(from).collect();
        discriminator.mutual_information(graph, "mi", aware, &weightings, weight, self.lambda);
    }
}
