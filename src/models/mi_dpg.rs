//! `mi-dpg`: mutual-information regularised decomposable parameter generation, for multi-scenario conversion
//! prediction.
//!
//! A network whose weights are scaled, sample by sample, by a matrix generated from the scenario-aware fields
//! (section 2.2), and a regulariser that keeps those matrices telling of their scenario (section 2.3). Without the
//! regulariser it is the paper's DPG.

use serde::{Deserialize, Serialize};

use super::{
    Error, Inputs, Model, check_network, is_number, options, predict_by, require, require_not_negative,
    require_positive,
};
use crate::graph::{Graph, Probed, TensorId, WarmUp};
use crate::layers::{
    Decomposition, Discriminator, Linear, RowAxis, Weighting, WeightingOptions, hidden_epilogue, stop_gradient,
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

/// What discriminators see of a sample's scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirInput {
    /// The scenario alone where it is one of the scenario-aware fields, else all of these.
    #[default]
    Auto,
    /// All scenario-aware fields, as in the paper.
    Aware,
    /// The scenario alone, which must be one of them.
    Scenario,
}

options! {
    /// Options of MI-DPG. Defaults are the paper's but for three, which docs/mir.md is about: the paper's reading is
    /// `weight_scale` 1, `mir_input` `"aware"` and `mir_warmup` 0.
    MiDpg {
        network;
        decomposition: Decomposition = Decomposition::R,
            "\"r\", \"rc\", \"c\" or \"non\": which factors of the weighting matrix are generated";
        row_div: usize = 4, "rows of the weighting matrix that share a value: d_r = size / row_div";
        col_div: usize = 4, "columns of it that share a value: d_c = size / col_div";
        d_k: usize = 1, "rank of the weighting matrix's core";
        repeat: Repeat = Repeat::Interleave, "\"interleave\" (neighbours share a value) or \"tile\"";
        row_axis: RowAxis = RowAxis::Output, "\"output\" or \"input\": what the weighting matrix's rows run over";
        weight_scale: f64 = 2.0, "factor of the weighting matrix: 2 to start near 1, 1 as in the paper";
        weight_last: bool = true, "whether the logit layer is weighted too";
        auxiliary_hidden: usize = 32, "hidden width of the nets that generate factors";
        mir: bool = true, "mutual-information regularisation; false is DPG";
        lambda: f64 = 1.0, "weight of the regulariser";
        mir_reduce: MirReduce = MirReduce::Mean,
            "\"mean\", \"sum\" or \"last\": over which layers the regulariser is taken";
        mir_negatives: MirNegatives = MirNegatives::Shuffle,
            "\"shuffle\" or \"other-scenario\": how its negatives are drawn";
        mir_input: MirInput = MirInput::Auto,
            "\"aware\" (all scenario-aware fields, as in the paper), \"scenario\", or \"auto\" (the scenario where it is one \
             of them): what discriminators are told of a sample";
        mir_stop: bool = false, "whether the regulariser sends no gradient into these fields' embeddings";
        mir_warmup: u32 = 600, "steps over which lambda grows to its value; 0, as in the paper, for none";
        discriminator_hidden: usize = 32, "hidden width of the discriminators";
    }
}

impl MiDpg {
    fn check(&self) -> Result<(), Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        require_positive(&[
            ("row_div", self.row_div),
            ("col_div", self.col_div),
            ("d_k", self.d_k),
            ("auxiliary_hidden", self.auxiliary_hidden),
            ("discriminator_hidden", self.discriminator_hidden),
        ])?;
        require(self.weight_scale > 0.0 && is_number(self.weight_scale), || {
            format!("weight_scale is {}; expected a number above 0, such as 1 or 2", self.weight_scale)
        })?;
        require_not_negative("lambda", self.lambda)?;
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

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        self.check()?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let aware = inputs.aware(g, &embeddings, Self::NAME)?;
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
                h = Linear { epilogue, ..Linear::new(size, Activation::None) }.add(g, &name, h);
                continue;
            }
            // S^l = DWM(e_aw, h^l); y = F_{S^l ⊙ W^l}(h^l)   (equations 1–5)
            let u = Affine::concat(g, &format!("weighting.{l}.input"), &[aware, h]);
            let width = g.width(h);
            let weighting = Weighting::new(g, &format!("weighting.{l}"), &options, u, size, width).map_err(Error)?;
            h = weighting.layer(g, &name, h, epilogue);
            g.probe(format!("weighting.{l}"), weighting.values, Probed::Vector);
            weightings.push(weighting.values);
        }
        predict_by(g, h);
        if self.regularised() {
            let mut known = match self.discriminator_field(inputs)? {
                Some(scenario) => embeddings.slice(g, "scenario", scenario, 1),
                None => aware,
            };
            if self.mir_stop {
                known = stop_gradient(g, "held", known);
            }
            self.add_regulariser(g, known, &weightings);
        }
        Ok(graph)
    }

    fn negatives(&self) -> Option<MirNegatives> {
        self.regularised().then_some(self.mir_negatives)
    }
}

impl MiDpg {
    /// The scenario's field, where discriminators see that alone.
    fn discriminator_field(&self, inputs: &Inputs) -> Result<Option<usize>, Error> {
        let scenario = inputs.scenario.filter(|&field| field < inputs.aware);
        require(scenario.is_some() || self.mir_input != MirInput::Scenario, || {
            "mir_input = \"scenario\" needs data.scenario's column to be one of data.aware; name it there".to_owned()
        })?;
        Ok(scenario.filter(|_| self.mir_input != MirInput::Aware))
    }

    /// λ L_mi (equations 6 and 7) of `known`, what T sees beside S. Gradient flows to T and to S, and to `known` where that
    /// is not stopped.
    fn add_regulariser(&self, graph: &mut Graph, known: TensorId, weightings: &[TensorId]) {
        let discriminator = Discriminator { hidden: self.discriminator_hidden, warm_up: WarmUp(self.mir_warmup) };
        let count = weightings.len();
        let (from, weight) = match self.mir_reduce {
            MirReduce::Mean => (0, 1.0 / count as f64),
            MirReduce::Sum => (0, 1.0),
            MirReduce::Last => (count - 1, 1.0),
        };
        let weightings: Vec<_> = weightings.iter().copied().enumerate().skip(from).collect();
        discriminator.mutual_information(graph, "mi", known, &weightings, weight, self.lambda);
    }
}
