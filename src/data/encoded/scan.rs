//! Encoding other files with saved vocabularies, for evaluation and prediction.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::data::encoded::encoder::Encoder;
use crate::data::encoded::rows::Rows;
use crate::data::encoded::unknown::{Tally, UnknownValues};
use crate::data::error::Result;
use crate::data::read::checks::{Known, Skipped, check};
use crate::data::read::filtering::filtered;
use crate::data::read::inputs::Inputs;
use crate::data::read::reader::{Chunk, Reader};
use crate::data::schema::columns::WantedColumns;
use crate::data::schema::{OnBadRow, UnknownScenario};

/// Some consecutive rows of one file, encoded.
#[derive(Debug, Clone)]
pub struct EncodedChunk {
    /// The good rows.
    pub rows: Rows,
    /// All columns and all rows of the chunk in file order. Columns of CSV files are text; a bad row's absent cells are
    /// null there and its invalid bytes replaced. With [`Scan::like_first`] those of several files make one table.
    pub batch: RecordBatch,
    /// For each row of `rows` its index in `batch`; skipped bad rows are absent.
    pub kept: Vec<u32>,
    /// The file.
    pub path: Arc<Path>,
}

/// The chunks of all input files; see [`scan`].
pub struct Scan<'e> {
    encoder: &'e Encoder,
    plan: WantedColumns,
    reader: Reader,
    on_bad_row: OnBadRow,
    unknown_scenario: UnknownScenario,
    next: Option<Result<Chunk>>,
    skipped: Skipped,
    filtered: u64,
    tallies: Vec<Tally>,
    total: u64,
    like_first: bool,
}

/// Encodes files with an encoder's vocabularies, in chunks of at most `batch_rows` rows that never span two files.
///
/// Every file must have the feature columns and the scenario, and with `need_label` the label and what `data.where` reads:
/// rows that are to be compared with their labels are filtered as those of training. Without it, all rows are there, and the
/// chunks' labels are empty. Columns for the user and the true probability are taken where a file has them. Unknown
/// categories get row 0, and are counted ([`Scan::unknown_values`]); what happens to a row of an unknown scenario is the
/// schema's `unknown_scenario`, what to bad rows its `on_bad_row`; [`Scan::unknown_scenario`] and [`Scan::on_bad_row`]
/// override them.
///
/// # Errors
/// When the first file cannot be read; errors of later rows come from the iterator, which then ends.
pub fn scan<'e>(encoder: &'e Encoder, inputs: &Inputs, need_label: bool, batch_rows: usize) -> Result<Scan<'e>> {
    let plan = WantedColumns::to_scan(encoder.schema(), need_label);
    let mut reader = Reader::new(inputs, &plan.wanted, true, batch_rows);
    let next = reader.next()?.map(Ok);
    let (on_bad_row, total) = (encoder.schema().on_bad_row, inputs.bytes());
    let unknown_scenario = encoder.schema().unknown_scenario;
    Ok(Scan {
        encoder,
        plan,
        reader,
        on_bad_row,
        unknown_scenario,
        next,
        skipped: Skipped::default(),
        filtered: 0,
        tallies: Vec::new(),
        total,
        like_first: false,
    })
}

impl<'e> Scan<'e> {
    /// What it encodes with.
    pub fn encoder(&self) -> &'e Encoder {
        self.encoder
    }

    /// Overrides the schema's `on_bad_row`.
    pub fn on_bad_row(mut self, on_bad_row: OnBadRow) -> Self {
        self.on_bad_row = on_bad_row;
        self
    }

    /// Overrides the schema's `unknown_scenario`.
    pub fn unknown_scenario(mut self, unknown_scenario: UnknownScenario) -> Self {
        self.unknown_scenario = unknown_scenario;
        self
    }

    /// All columns of every chunk will be as the first file has them: in its order, and of its types. A file that has other
    /// columns is an error.
    pub fn like_first(mut self) -> Self {
        self.like_first = true;
        self
    }

    /// A batch of all columns without a row, as the first file has them: what there is of files without rows.
    pub fn no_rows(&self) -> RecordBatch {
        self.reader.no_rows()
    }

    /// The bad rows left out so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// How many rows `data.where` has left out so far.
    pub fn filtered(&self) -> u64 {
        self.filtered
    }

    /// What was missing or unknown so far, by column: fields, then sequences.
    pub fn unknown_values(&self) -> Vec<UnknownValues> {
        self.encoder.unknown_values(&self.tallies)
    }

    /// Bytes read so far, and of all files.
    pub fn bytes(&self) -> (u64, u64) {
        (self.reader.bytes_done(), self.total)
    }

    fn encode(&mut self, chunk: Chunk) -> Result<EncodedChunk> {
        let Scan {
            encoder,
            plan,
            reader,
            on_bad_row,
            unknown_scenario,
            skipped,
            filtered: left_out,
            tallies,
            next,
            ..
        } = self;
        // The next chunk is decoded while this one is encoded.
        let (following, encoded) = rayon::join(
            || reader.next(),
            || {
                let (chunk, more) = filtered(encoder.schema(), plan, encoder.nulls(), chunk)?;
                *left_out += more;
                let known = Known { unknown_scenario: *unknown_scenario, ..encoder.known() };
                let checked = check(encoder.schema(), plan, Some(known), encoder.nulls(), &chunk)?;
                skipped.settle_checked(*on_bad_row, *unknown_scenario, &chunk, &checked)?;
                let kept = checked.keep.clone();
                Ok((encoder.encode(plan, &chunk, checked, tallies)?, kept, chunk))
            },
        );
        let (rows, kept, chunk) = encoded?;
        *next = following.transpose();
        let path = chunk.path().clone();
        let batch = if self.like_first { self.reader.like_first(&path, chunk.batch)? } else { chunk.batch };
        Ok(EncodedChunk { rows, path, batch, kept })
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<EncodedChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.next.take()?;
        Some(chunk.and_then(|chunk| self.encode(chunk)))
    }
}
