//! What a model knows of the data.

use super::Error;
use crate::graph::{Cross, Graph, TensorId, TokenField};
use crate::layers::{EmbeddingSet, Field};
use crate::ops::{Affine, MAX_FIELDS_WITH_NUMERIC};

/// Standard deviation of embeddings' first values.
const EMBEDDING_DEVIATION: f64 = 0.05;

/// The data's fields: scenario-aware ones, then scenario-agnostic ones.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// All fields in the order of the data's ids.
    pub fields: Vec<Field>,
    /// How many of them, the first, are scenario-aware.
    pub aware: usize,
    /// How many scenarios there are; 1 where the data has none.
    pub scenarios: usize,
    /// Whether the data has a column of scenarios.
    pub has_scenarios: bool,
    /// Which field is the scenario itself, if one is.
    pub scenario: Option<usize>,
    /// Sequences of items.
    pub sequences: Vec<SequenceInput>,
}

/// A sequence of another field's values.
#[derive(Clone, Copy, Debug)]
pub struct SequenceInput {
    /// Which field's.
    pub field: usize,
    /// The most items of a row.
    pub longest: usize,
}

/// Whether scenarios have embeddings of their own.
#[derive(Clone, Copy, Debug)]
pub enum Sharing {
    /// All share them.
    Shared,
    /// Each has its own, of every field.
    PerScenario,
    /// The same, a field with more rows than this hashed to so many.
    Hashed(usize),
}

impl Inputs {
    /// One table for all fields: x = [e_aw, e_ag].
    ///
    /// # Errors
    /// When the table would have more rows than ids can name, or too many fields with a numeric one among them.
    pub fn embed(&self, graph: &mut Graph, width: usize) -> Result<EmbeddingSet, Error> {
        self.embed_as(graph, "embedding", width, Sharing::Shared)
    }

    /// The same, called `name`, with rows for each scenario or for all.
    ///
    /// # Errors
    /// As for [`Inputs::embed`].
    pub fn embed_as(&self, graph: &mut Graph, name: &str, width: usize, rows: Sharing) -> Result<EmbeddingSet, Error> {
        let fields: Vec<Field> = self.fields.iter().map(|field| self.crossed(field, rows)).collect();
        let rows: usize = fields.iter().map(|field| field.rows).sum();
        if u32::try_from(rows).is_err() {
            return Err(Error(format!(
                "the fields have {rows} values together, more than 4294967295; hash the largest (data.fields.NAME.hash)"
            )));
        }
        let numeric = self.fields.iter().any(|field| field.value.is_some());
        if numeric && self.fields.len() > MAX_FIELDS_WITH_NUMERIC {
            return Err(Error(format!(
                "{} fields with numeric ones among them; at most {MAX_FIELDS_WITH_NUMERIC} go together: make the \
                 numeric ones buckets (data.fields.NAME.kind = \"bucket\")",
                self.fields.len()
            )));
        }
        Ok(EmbeddingSet::new(graph, name, &fields, width, EMBEDDING_DEVIATION))
    }

    /// The embeddings of the scenario-aware fields, side by side.
    ///
    /// # Errors
    /// When there are none: `who` needs them.
    pub fn aware(&self, graph: &mut Graph, embeddings: &EmbeddingSet, who: &str) -> Result<TensorId, Error> {
        if self.aware == 0 {
            return Err(Error(format!(
                "{who} is made of scenario-aware fields, but data.aware is empty; name the columns there that tell \
                 scenarios apart"
            )));
        }
        Ok(embeddings.slice(graph, "aware", 0, self.aware))
    }

    fn crossed(&self, field: &Field, rows: Sharing) -> Field {
        let (each, all) = (field.rows, field.rows * self.scenarios);
        let (rows, cross) = match rows {
            Sharing::Shared => (each, Cross::None),
            Sharing::Hashed(max) if all > max => (max, Cross::Hashed { each }),
            Sharing::PerScenario | Sharing::Hashed(_) => (all, Cross::Scenario { each }),
        };
        Field { rows, cross, ..field.clone() }
    }

    /// The most items of a row's sequences.
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.longest).max().unwrap_or(0)
    }

    /// A sample's own embeddings of the fields whose items the sequences hold, in their order.
    pub fn targets(&self, graph: &mut Graph, embeddings: &EmbeddingSet) -> TensorId {
        let own = self.sequences.iter().map(|sequence| embeddings.slice(graph, "target", sequence.field, 1));
        let own: Vec<TensorId> = own.collect();
        Affine::concat(graph, "targets", &own)
    }

    /// The sequences as a table's tokens.
    pub fn tokens(&self) -> Vec<TokenField> {
        let sequences = self.sequences.iter().enumerate();
        sequences.map(|(sequence, input)| TokenField { field: input.field, sequence }).collect()
    }
}
