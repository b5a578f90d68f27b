//! Behaviour sequences from an interaction log: what each row's user did before.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use crate::data::error::{Error, Result};
use crate::data::fit::vocabulary::Interner;
use crate::data::read::cells::{Text, numbers};
use crate::data::read::checks::Skipped;
use crate::data::read::faults::{Fault, Faults};
use crate::data::read::inputs::Inputs;
use crate::data::read::reader::{Chunk, Reader};
use crate::data::schema::OnBadRow;
use crate::data::schema::columns::{Use, Wanted};
use crate::data::schema::nulls::Nulls;

/// Which columns make a log, and how long histories are.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// Whose history.
    pub user: String,
    /// What it is made of.
    pub item: String,
    /// When: numbers, dates or times.
    pub time: String,
    /// Only rows in which this column is above 0 enter histories; all do without one.
    pub positive: Option<String>,
    /// The most items of a history, the last ones.
    pub max_length: usize,
    /// Name of the column to add.
    pub column: String,
}

/// Where a row's history lies among all behaviours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    end: u32,
    count: u32,
}

/// A log with the history of each row: an iterator over its rows with one more column.
pub struct Histories {
    options: HistoryOptions,
    reader: Reader,
    items: Interner,
    /// Items of all behaviours, by user and time.
    behaviours: Vec<u32>,
    spans: Vec<Span>,
    total: u64,
}

/// What the first pass gathers of a row.
#[derive(Clone, Copy)]
struct Interaction {
    user: u32,
    time: f64,
    item: u32,
    counts: bool,
}

/// A cell that is not there.
const MISSING: u32 = u32::MAX;
/// Rows one read of a file brings in.
const ROWS: usize = 65_536;

/// Reads the log once for its users, items and times. A row's history are the items of the same user's strictly earlier
/// rows, in order of time (rows of the same time in order of the log), the last `max_length` of them; a row without a
/// user has none. `progress` is called with the bytes read.
///
/// # Errors
/// When a file cannot be read, a column is missing, or a time is none.
pub fn histories(inputs: &Inputs, options: HistoryOptions, mut progress: impl FnMut(u64)) -> Result<Histories> {
    let mut wanted = vec![
        wanted(&options.user, "--user", Use::Text),
        wanted(&options.item, "--item", Use::Text),
        wanted(&options.time, "--time", Use::Time),
    ];
    wanted.extend(options.positive.iter().map(|column| self::wanted(column, "--positive", Use::Number)));
    let mut reader = Reader::new(inputs, &wanted, false, ROWS);
    let (mut users, mut items) = (Interner::default(), Interner::default());
    let mut rows = Vec::new();
    while let Some(chunk) = reader.next()? {
        gather(&chunk, &options, &mut users, &mut items, &mut rows)?;
        progress(reader.bytes_done());
    }
    if u32::try_from(rows.len()).is_err() {
        return Err(Error::Shape(format!("the log has {} rows; at most {} fit", rows.len(), u32::MAX)));
    }
    let (behaviours, spans) = spans(&rows, options.max_length);
    let reader = Reader::new(inputs, &wanted, true, ROWS);
    Ok(Histories { options, reader, items, behaviours, spans, total: inputs.bytes() })
}

fn wanted(name: &str, key: &str, r#use: Use) -> Wanted {
    Wanted { name: name.to_owned(), key: key.to_owned(), r#use, required: true }
}

fn gather(
    chunk: &Chunk,
    options: &HistoryOptions,
    users: &mut Interner,
    items: &mut Interner,
    rows: &mut Vec<Interaction>,
) -> Result<()> {
    let column = |number: usize| chunk.column(number).expect("required columns are there");
    let mut faults = vec![chunk.faults.clone()];
    let mut read = |number: usize, name: &str| -> Result<Vec<f64>> {
        let mut wrong = Faults::default();
        let found = numbers(column(number), number == 2, &Nulls::default(), |row| {
            wrong.add(row, || Fault {
                row,
                column: Some(name.to_owned()),
                expected: if number == 2 { "a number, a date or a time" } else { "a number" }.to_owned(),
                found: "other text".to_owned(),
            });
        });
        faults.push(wrong);
        found.map_err(|error| Error::Shape(format!("column \"{name}\": {error}")))
    };
    let times = read(2, &options.time)?;
    let positive = options.positive.as_ref().map(|name| read(3, name)).transpose()?;
    Skipped::default().settle(OnBadRow::Fail, chunk, &Faults::merged(&faults))?;
    let codes = |number: usize, values: &mut Interner| -> Result<Vec<u32>> {
        let text = Text::of(column(number)).map_err(|error| Error::Shape(error.to_string()))?;
        let mut codes = Vec::with_capacity(chunk.len());
        text.for_each(0..chunk.len(), |cell| codes.push(cell.map_or(MISSING, |cell| values.intern(cell))));
        Ok(codes)
    };
    let (users, items) = (codes(0, users)?, codes(1, items)?);
    rows.extend((0..chunk.len()).map(|row| Interaction {
        user: users[row],
        time: times[row],
        item: items[row],
        // A behaviour has a time and an item; a row whose time is missing comes after no other.
        counts: items[row] != MISSING
            && !times[row].is_nan()
            && positive.as_ref().is_none_or(|positive| positive[row] > 0.0),
    }));
    Ok(())
}

/// The behaviours' items by user and time, and each row's part of them.
fn spans(rows: &[Interaction], max_length: usize) -> (Vec<u32>, Vec<Span>) {
    let mut order: Vec<u32> = (0..rows.len() as u32).filter(|&row| rows[row as usize].user != MISSING).collect();
    // Stable: rows of one time stay in the order of the log.
    order.sort_by(|&a, &b| {
        let (a, b) = (rows[a as usize], rows[b as usize]);
        a.user.cmp(&b.user).then(a.time.total_cmp(&b.time))
    });
    let mut behaviours: Vec<u32> = Vec::new();
    let mut spans = vec![Span::default(); rows.len()];
    for of_user in order.chunk_by(|&a, &b| rows[a as usize].user == rows[b as usize].user) {
        let first = behaviours.len();
        for at_once in of_user.chunk_by(|&a, &b| rows[a as usize].time == rows[b as usize].time) {
            let span = Span { end: behaviours.len() as u32, count: (behaviours.len() - first).min(max_length) as u32 };
            for &row in at_once {
                // Nothing is known to be earlier than a time that is not there.
                let known = !rows[row as usize].time.is_nan();
                spans[row as usize] = if known { span } else { Span::default() };
            }
            behaviours
                .extend(at_once.iter().map(|&row| rows[row as usize]).filter(|row| row.counts).map(|row| row.item));
        }
    }
    (behaviours, spans)
}

impl Histories {
    /// Bytes read in the second pass so far, and of all files.
    pub fn bytes(&self) -> (u64, u64) {
        (self.reader.bytes_done(), self.total)
    }

    /// The next rows: all columns as they are in the log, and the histories as lists of text.
    ///
    /// # Errors
    /// When a file cannot be read, or has a column of the new one's name.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(chunk) = self.reader.next()? else { return Ok(None) };
        let spans = &self.spans[chunk.number(0) as usize..][..chunk.len()];
        let batch = self.reader.like_first(&chunk.path().clone(), chunk.batch)?;
        self.with_histories(&batch, spans).map(Some)
    }

    /// A batch of all columns without a row, as the first file has them: what there is of a log without rows.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub fn no_rows(&self) -> Result<RecordBatch> {
        self.with_histories(&self.reader.no_rows(), &[])
    }

    fn with_histories(&self, batch: &RecordBatch, spans: &[Span]) -> Result<RecordBatch> {
        let name = &self.options.column;
        let schema = batch.schema();
        if schema.column_with_name(name).is_some() {
            return Err(Error::Schema(format!(
                "the log has a column called \"{name}\" already; choose another (--name)"
            )));
        }
        let mut lists = ListBuilder::new(StringBuilder::new());
        for &Span { end, count } in spans {
            for &item in &self.behaviours[(end - count) as usize..end as usize] {
                lists.values().append_value(String::from_utf8_lossy(self.items.get(item)));
            }
            lists.append(true);
        }
        let column: ArrayRef = Arc::new(lists.finish());
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let added = Arc::new(Field::new(name, DataType::List(item), false));
        let fields: Vec<_> = schema.fields().iter().cloned().chain([added]).collect();
        let columns = batch.columns().iter().cloned().chain([column]).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        batch.map_err(|error| Error::Shape(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use std::fs;

    use crate::data::Format;

    fn run(csv: &str, positive: bool, max_length: usize) -> Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log.csv"), csv).unwrap();
        let inputs = Inputs::find("log.csv", Format::Auto, None, &[dir.path().to_owned()]).unwrap();
        let options = HistoryOptions {
            user: "u".to_owned(),
            item: "i".to_owned(),
            time: "t".to_owned(),
            positive: positive.then(|| "y".to_owned()),
            max_length,
            column: "history".to_owned(),
        };
        let mut histories = histories(&inputs, options, |_| ())?;
        let mut found = Vec::new();
        while let Some(batch) = histories.next_batch()? {
            let lists = batch.column_by_name("history").unwrap().as_list::<i32>();
            found.extend((0..lists.len()).map(|row| {
                let items = lists.value(row);
                items.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(" ")
            }));
        }
        Ok(found)
    }

    const LOG: &str = "u,i,t,y\na,x,3,1\nb,p,1,0\na,y,1,1\na,z,2,0\na,w,2,1\nb,q,5,1\n,r,9,1\na,v,,1\na,s,9,1\n";

    #[test]
    fn histories_are_strictly_earlier_and_of_the_same_user() {
        let found = run(LOG, false, 10).unwrap();
        // z and w share a time; a row without a user or a time has no history, and without a time is none.
        assert_eq!(found, ["y z w", "", "", "y", "y", "p", "", "", "y z w x"]);
    }

    #[test]
    fn only_positives_enter_and_the_last_ones_stay() {
        assert_eq!(run(LOG, true, 10).unwrap(), ["y w", "", "", "y", "y", "", "", "", "y w x"]);
        assert_eq!(run(LOG, false, 2).unwrap(), ["z w", "", "", "y", "y", "p", "", "", "w x"]);
    }

    #[test]
    fn a_time_that_is_none_names_its_line() {
        let message = run("u,i,t\na,x,3\na,y,soon\n", false, 5).err().unwrap().to_string();
        assert!(message.contains("line 3") && message.contains("\"t\""), "{message}");
    }
}
