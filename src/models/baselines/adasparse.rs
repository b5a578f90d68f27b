//! `adasparse`: layers that do without some of their inputs, sample by sample (Yang et al. 2022).

use super::{Error, Inputs, Model, check_network, is_number, options, predict_by, require, require_not_negative};
use crate::graph::{Graph, Init, LossTerm, Probed, TensorId, WarmUp};
use crate::layers::{Linear, layers_to_logit};
use crate::ops::{Activation, Affine, Anneal, Multiply, Prune, Sparsity, parameters_of};

options! {
    /// Options of AdaSparse (its method of fusion).
    AdaSparse {
        network;
        beta_prune: f64 = 2.0, "largest factor of an input";
        epsilon_prune: f64 = 0.25, "factor at which an input is pruned";
        alpha: f64 = 0.1, "how steeply factors follow the pruner, in the first step";
        alpha_growth: f64 = 1.001, "what that is multiplied by after every step";
        alpha_max: f64 = 5.0, "what it grows to";
        r_min: f64 = 0.15, "share pruned (1 - mean factor) below which the regulariser acts";
        r_max: f64 = 0.25, "share pruned above which it acts";
        lambda: f64 = 0.01, "weight of the regulariser";
    }
}

impl Model for AdaSparse {
    const NAME: &'static str = "adasparse";
    const SUMMARY: &'static str =
        "MLP whose layers' inputs are scaled or pruned per sample, by the scenario-aware fields";

    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_network(self.width, &self.hidden, self.dropout)?;
        self.check()?;
        let mut graph = Graph::new();
        let g = &mut graph;
        let embeddings = inputs.embed(g, self.width)?;
        let aware = inputs.aware(g, &embeddings, Self::NAME)?;
        let alpha = g.state("anneal.alpha", [1, 1], Init::Constant(self.alpha));
        let mut h = embeddings.all;
        let mut factors = Vec::new();
        for (l, (size, epilogue)) in layers_to_logit(&self.hidden, self.dropout, 0).enumerate() {
            // π = β σ(α v), v of [e_aw, h]; h ← π ⊙ h   (equations 3 and 6)
            let known = Affine::concat(g, &format!("pruner.{l}.input"), &[aware, h]);
            let v = Linear::new(g.width(h), Activation::None).add(g, &format!("pruner.{l}"), known);
            let op = Prune { max: self.beta_prune, threshold: self.epsilon_prune };
            let kept = g.add_one(&format!("pruner.{l}"), op, &[v, alpha]);
            h = g.add_one(&format!("pruned.{l}"), Multiply { group: 1, scale: 1.0 }, &[h, kept]);
            g.probe(format!("pruner.{l}"), kept, Probed::Vector);
            factors.push(kept);
            h = Linear { epilogue, ..Linear::new(size, Activation::None) }.add(g, &format!("mlp.{l}"), h);
        }
        predict_by(g, h);
        if self.lambda > 0.0 {
            self.regularise(&mut graph, &factors);
        }
        let [parameter] = parameters_of(&graph, [alpha]);
        graph.update("anneal", Anneal { parameter, factor: self.alpha_growth, max: self.alpha_max }, &[]);
        Ok(graph)
    }
}

impl AdaSparse {
    fn check(&self) -> Result<(), Error> {
        require(self.beta_prune > 0.0 && is_number(self.beta_prune), || {
            format!("beta_prune is {}; expected a number above 0, such as 2", self.beta_prune)
        })?;
        // Factors begin near β / 2, and those that are pruned have no gradient.
        require((0.0..self.beta_prune / 2.0).contains(&self.epsilon_prune), || {
            format!(
                "epsilon_prune is {}; expected a number from 0 to below half of beta_prune = {}, near which factors begin",
                self.epsilon_prune, self.beta_prune
            )
        })?;
        require(self.alpha > 0.0 && self.alpha <= self.alpha_max && is_number(self.alpha_max), || {
            format!("alpha is {} and alpha_max {}; expected 0 < alpha <= alpha_max", self.alpha, self.alpha_max)
        })?;
        require(self.alpha_growth >= 1.0 && is_number(self.alpha_growth), || {
            format!("alpha_growth is {}; expected a number of at least 1, such as 1.001", self.alpha_growth)
        })?;
        require(is_number(self.r_min) && self.r_min <= self.r_max && self.r_max < 1.0, || {
            format!("r_min is {} and r_max {}; expected r_min <= r_max < 1", self.r_min, self.r_max)
        })?;
        require_not_negative("lambda", self.lambda)
    }

    /// How much is pruned is to lie between `r_min` and `r_max`, the mean over the layers (equation 7).
    fn regularise(&self, g: &mut Graph, factors: &[TensorId]) {
        let share = 1.0 / factors.len() as f64;
        let first = g.reserve_loss_columns(factors.len());
        for (l, &factors) in factors.iter().enumerate() {
            let op =
                Sparsity { low: self.r_min, high: self.r_max, weight: self.lambda * share, first_column: first + l };
            g.add(&format!("sparsity.{l}"), op, &[factors]);
        }
        let columns = (0..factors.len()).map(|l| (first + l, share)).collect();
        g.losses.push(LossTerm {
            name: "sparsity".to_owned(),
            coefficient: self.lambda,
            columns,
            warm_up: WarmUp::default(),
        });
    }
}
