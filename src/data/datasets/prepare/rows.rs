//! The rows that come out, as batches of columns, and counts of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::data::datasets::prepare::dimension::Cells;
use crate::data::error::{Error, Result};
use crate::data::schema::SplitName;

/// Rows of one batch.
const ROWS: usize = 65_536;

/// Takes the batches.
pub(crate) type Sink<'a> = dyn FnMut(&RecordBatch) -> Result<()> + 'a;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Number,
    /// A list of texts.
    Texts,
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Texts(ListBuilder<StringBuilder>),
}

/// Rows of a scenario in a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Rows.
    pub rows: u64,
    /// Rows whose label is 1.
    pub positives: u64,
}

/// Rows by scenario, and by split where the rows say theirs.
pub type Groups = BTreeMap<(String, Option<SplitName>), Group>;

/// Rows under construction: cells are given column by column, in order.
pub(crate) struct Rows {
    schema: SchemaRef,
    builders: Vec<Builder>,
    next: usize,
    held: usize,
    written: u64,
    groups: Groups,
}

impl Rows {
    /// No rows of these columns.
    pub(crate) fn new(columns: &[(&str, Kind)]) -> Self {
        let field = |&(name, kind): &(&str, Kind)| {
            let data_type = match kind {
                Kind::Text => DataType::Utf8,
                Kind::Integer => DataType::Int64,
                Kind::Number => DataType::Float64,
                Kind::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            };
            Field::new(name, data_type, kind != Kind::Texts)
        };
        let builder = |&(_, kind): &(&str, Kind)| match kind {
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Texts => Builder::Texts(ListBuilder::new(StringBuilder::new())),
        };
        Self {
            schema: Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())),
            builders: columns.iter().map(builder).collect(),
            next: 0,
            held: 0,
            written: 0,
            groups: Groups::new(),
        }
    }

    fn builder(&mut self) -> &mut Builder {
        self.next += 1;
        &mut self.builders[self.next - 1]
    }

    /// The next cell, of a column of texts.
    pub(crate) fn text(&mut self, cell: Option<&str>) {
        match self.builder() {
            Builder::Text(builder) => builder.append_option(cell),
            _ => unreachable!("the next column is not one of texts"),
        }
    }

    /// The next cell, of a column of whole numbers.
    pub(crate) fn integer(&mut self, cell: Option<i64>) {
        match self.builder() {
            Builder::Integer(builder) => builder.append_option(cell),
            _ => unreachable!("the next column is not one of whole numbers"),
        }
    }

    /// The next cell, of a column of numbers.
    pub(crate) fn number(&mut self, cell: Option<f64>) {
        match self.builder() {
            Builder::Number(builder) => builder.append_option(cell),
            _ => unreachable!("the next column is not one of numbers"),
        }
    }

    /// The next cell, of a column of lists.
    pub(crate) fn texts<T: AsRef<str>>(&mut self, items: impl IntoIterator<Item = T>) {
        match self.builder() {
            Builder::Texts(builder) => {
                items.into_iter().for_each(|item| builder.values().append_value(item));
                builder.append(true);
            }
            _ => unreachable!("the next column is not one of lists"),
        }
    }

    /// The next cells, of so many columns of texts: those of a row that was joined, or none.
    pub(crate) fn joined(&mut self, cells: Option<Cells<'_>>, columns: usize) {
        let mut cells = cells.into_iter().flatten();
        for _ in 0..columns {
            self.text(cells.next().filter(|cell| !cell.is_empty()));
        }
    }

    /// Whether a row of this split has been written.
    pub(crate) fn has(&self, split: SplitName) -> bool {
        self.groups.keys().any(|(_, found)| *found == Some(split))
    }

    /// Ends the row and counts it; a full batch goes to the sink.
    pub(crate) fn end(&mut self, scenario: &str, split: Option<SplitName>, label: bool, sink: &mut Sink) -> Result<()> {
        assert_eq!(self.next, self.builders.len(), "a row has a cell for each column");
        self.next = 0;
        self.held += 1;
        self.written += 1;
        let key = (scenario.to_owned(), split);
        let group = self.groups.entry(key).or_default();
        group.rows += 1;
        group.positives += u64::from(label);
        if self.held == ROWS { self.flush(sink) } else { Ok(()) }
    }

    /// Gives the sink what is left. Gives how many rows there were in all, and how they are distributed.
    pub(crate) fn finish(mut self, sink: &mut Sink) -> Result<(u64, Groups)> {
        if self.held > 0 {
            self.flush(sink)?;
        }
        Ok((self.written, self.groups))
    }

    fn flush(&mut self, sink: &mut Sink) -> Result<()> {
        self.held = 0;
        let array = |builder: &mut Builder| -> ArrayRef {
            match builder {
                Builder::Text(builder) => Arc::new(builder.finish()),
                Builder::Integer(builder) => Arc::new(builder.finish()),
                Builder::Number(builder) => Arc::new(builder.finish()),
                Builder::Texts(builder) => Arc::new(builder.finish()),
            }
        };
        let columns = self.builders.iter_mut().map(array).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| Error::Shape(e.to_string()))?;
        sink(&batch)
    }
}
