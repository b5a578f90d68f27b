//! What a model knows of the data.

use super::Error;
use crate::graph::Graph;
use crate::layers::{EmbeddingSet, Field};
use crate::ops::MOST_FIELDS_WITH_NUMERIC;

/// Standard deviation of embeddings' first values.
const EMBEDDING_DEVIATION: f64 = 0.05;

/// The data's fields: scenario-aware ones, then scenario-agnostic ones.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// All fields in the order of the data's ids.
    pub fields: Vec<Field>,
    /// How many of them, the first, are scenario-aware.
    pub aware: usize,
    /// How many scenarios there are.
    pub scenarios: usize,
}

impl Inputs {
    /// One table for all fields: x = [e_aw, e_ag].
    ///
    /// # Errors
    /// When the table would have more rows than ids can name, or too many fields with a numeric one among them.
    pub fn embed(&self, graph: &mut Graph, width: usize) -> Result<EmbeddingSet, Error> {
        let rows: usize = self.fields.iter().map(|field| field.rows).sum();
        if u32::try_from(rows).is_err() {
            return Err(Error(format!(
                "the fields have {rows} values together, more than 4294967295; hash the largest (data.fields.NAME.hash)"
            )));
        }
        let numeric = self.fields.iter().any(|field| field.value.is_some());
        if numeric && self.fields.len() > MOST_FIELDS_WITH_NUMERIC {
            return Err(Error(format!(
                "{} fields with numeric ones among them; at most {MOST_FIELDS_WITH_NUMERIC} go together: make the \
                 numeric ones buckets (data.fields.NAME.kind = \"bucket\")",
                self.fields.len()
            )));
        }
        Ok(EmbeddingSet::new(graph, "embedding", &self.fields, width, EMBEDDING_DEVIATION))
    }
}
