//! The file.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use prost::Message;

use super::Builder;
use super::messages::{ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// Readers take no message that is longer: protocol buffers have lengths of 31 bits.
const LONGEST: u64 = (1 << 31) - 1;

/// Tensors with fewer bytes stay in the model: readers want shapes and axes there.
const LEAST_APART: usize = 1024;

/// Where tensors begin in a file of their own, so that it can be mapped into memory.
const ALIGNMENT: u64 = 4096;

/// Where a model's weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// In the model's own file, unless that would be longer than its format allows.
    Within,
    /// In a file of their own beside it.
    Apart,
}

/// A model, encoded.
#[derive(Debug)]
pub struct Written {
    /// The model's own file.
    pub model: Vec<u8>,
    /// The tensors of the file beside it, one after another, each with where it begins.
    apart: Vec<(u64, Vec<u8>)>,
}

impl Written {
    /// Whether there is a file beside the model.
    pub fn has_weights_apart(&self) -> bool {
        !self.apart.is_empty()
    }

    /// Writes the file beside the model.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_weights(&self, file: &mut File) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        let mut end = 0;
        for (start, bytes) in &self.apart {
            io::copy(&mut io::Read::take(io::repeat(0), start - end), &mut file)?;
            file.write_all(bytes)?;
            end = start + bytes.len() as u64;
        }
        file.flush()
    }
}

impl Builder {
    /// The graph as a model. `beside` is the name of the file for weights that are written apart.
    ///
    /// # Errors
    /// The length of the model's own file, if that is longer than its format allows with all weights apart.
    pub fn finish(mut self, doc: &str, weights: Weights, beside: &str) -> Result<Written, u64> {
        let mut apart = Vec::new();
        // The model around the graph is short.
        if weights == Weights::Apart || self.graph.encoded_len() as u64 > LONGEST - (1 << 20) {
            let mut end: u64 = 0;
            for tensor in self.graph.initializer.iter_mut().filter(|tensor| tensor.raw_data.len() >= LEAST_APART) {
                let start = end.next_multiple_of(ALIGNMENT);
                let bytes = std::mem::take(&mut tensor.raw_data);
                end = start + bytes.len() as u64;
                let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
                tensor.external_data = vec![
                    entry("location", beside.to_owned()),
                    entry("offset", start.to_string()),
                    entry("length", bytes.len().to_string()),
                ];
                tensor.data_location = 1;
                apart.push((start, bytes));
            }
        }
        let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
        let model = ModelProto {
            ir_version: 8,
            producer_name: env!("CARGO_PKG_NAME").to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: doc.to_owned(),
            graph: Some(self.graph),
            opset_import: vec![opset("", 17), opset("ai.onnx.ml", 3)],
        };
        match model.encoded_len() as u64 {
            length if length > LONGEST => Err(length),
            _ => Ok(Written { model: model.encode_to_vec(), apart }),
        }
    }
}
