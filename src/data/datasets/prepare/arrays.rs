//! Lines cut into cells, with errors that name file, line and column.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::str::FromStr;

use crate::data::datasets::prepare::source::{Encoding, Lines, Meter};
use crate::data::error::{Error, Result, list};
use crate::data::read::csv_file::quoted;

/// What to do about a line that is not as the owner publishes it.
const FIX: &str = "mend or remove the line, or download the file again";

/// How a file's lines are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// What stands between cells.
    pub(crate) separator: &'static str,
    /// Whether a cell in double quotes may hold separators.
    pub(crate) quotes: bool,
    pub(crate) encoding: Encoding,
}

impl Layout {
    /// Cells without quotes, in UTF-8.
    pub(crate) const fn plain(separator: &'static str) -> Self {
        Self { separator, quotes: false, encoding: Encoding::Utf8 }
    }
}

/// The rows of a table: the cells of wanted columns, in the order in which they were asked for.
pub(crate) struct Table<'a> {
    lines: Lines<'a>,
    /// The line's cells without quotes about them, where there may be some.
    unquoted: String,
    layout: Layout,
    /// The wanted columns' names, for messages.
    names: Vec<String>,
    /// Their places in a line.
    places: Vec<usize>,
    /// How many cells each line has.
    width: usize,
    cells: Vec<Range<usize>>,
    rows: u64,
}

impl<'a> Table<'a> {
    /// Opens a file whose first line names its columns. What follows a colon in a name is its type and not part of it,
    /// nor are blanks about it.
    pub(crate) fn with_header(path: &Path, layout: Layout, wanted: &[&str], meter: &Rc<Meter<'a>>) -> Result<Self> {
        let mut table = Self::open(path, layout, wanted, meter)?;
        if !table.lines.next()? {
            return Err(Error::EmptyFile { path: path.to_owned() });
        }
        table.cut()?;
        let text = table.line();
        let name = |cell: &Range<usize>| text[cell.clone()].split(':').next().unwrap_or_default().trim();
        let header: Vec<&str> = table.cells.iter().map(name).collect();
        let place = |wanted: &&str| {
            header.iter().position(|name| name == wanted).ok_or_else(|| {
                let found = format!("the columns {}", list(header.iter()));
                table.lines.bad(Some(wanted), "a column of this name in the header", &found, FIX)
            })
        };
        let places = wanted.iter().map(place).collect::<Result<_>>()?;
        (table.width, table.places) = (header.len(), places);
        Ok(table)
    }

    /// Opens a file without a header, whose columns have these names in this order.
    ///
    /// # Panics
    /// When a wanted column is none of them.
    pub(crate) fn without_header(
        path: &Path,
        layout: Layout,
        names: &[&str],
        wanted: &[&str],
        meter: &Rc<Meter<'a>>,
    ) -> Result<Self> {
        let mut table = Self::open(path, layout, wanted, meter)?;
        let place = |wanted| names.iter().position(|name| name == wanted).expect("wanted columns are named");
        (table.places, table.width) = (wanted.iter().map(place).collect(), names.len());
        Ok(table)
    }

    fn open(path: &Path, layout: Layout, names: &[&str], meter: &Rc<Meter<'a>>) -> Result<Self> {
        let lines = Lines::open(path, layout.encoding, meter)?;
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Ok(Self {
            lines,
            unquoted: String::new(),
            layout,
            names,
            places: Vec::new(),
            width: 0,
            cells: Vec::new(),
            rows: 0,
        })
    }

    /// Reads the next row; false at the end.
    pub(crate) fn next(&mut self) -> Result<bool> {
        if !self.lines.next()? {
            return Ok(false);
        }
        self.cut()?;
        if self.cells.len() != self.width {
            let (expected, found) = (format!("{} cells", self.width), self.cells.len().to_string());
            return Err(self.lines.bad(None, &expected, &found, FIX));
        }
        self.rows += 1;
        Ok(true)
    }

    /// How many rows have been read.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// A wanted column's cell, without blanks about it.
    pub(crate) fn cell(&self, wanted: usize) -> &str {
        self.line()[self.cells[self.places[wanted]].clone()].trim()
    }

    /// A cell, or `None` if it is empty or one of these words.
    pub(crate) fn present(&self, wanted: usize, missing: &[&str]) -> Option<&str> {
        Some(self.cell(wanted)).filter(|cell| !cell.is_empty() && !missing.contains(cell))
    }

    /// A cell that must not be empty.
    pub(crate) fn required(&self, wanted: usize) -> Result<&str> {
        match self.cell(wanted) {
            "" => Err(self.bad(wanted, "a value")),
            cell => Ok(cell),
        }
    }

    /// A cell as a number; `expected` says of what kind.
    pub(crate) fn number<T: FromStr>(&self, wanted: usize, expected: &str) -> Result<T> {
        self.cell(wanted).parse().map_err(|_| self.bad(wanted, expected))
    }

    /// A cell that is 0 or 1.
    pub(crate) fn flag(&self, wanted: usize) -> Result<bool> {
        match self.cell(wanted) {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(self.bad(wanted, "0 or 1")),
        }
    }

    /// An error that names this row's cell.
    pub(crate) fn bad(&self, wanted: usize, expected: &str) -> Error {
        self.lines.bad(Some(&self.names[wanted]), expected, &quoted(self.cell(wanted)), FIX)
    }

    /// The text that cells are places of.
    fn line(&self) -> &str {
        if self.layout.quotes { &self.unquoted } else { self.lines.text() }
    }

    /// Cuts the line into cells.
    fn cut(&mut self) -> Result<()> {
        self.cells.clear();
        if self.layout.quotes {
            return self.cut_quoted();
        }
        let text = self.lines.text();
        let mut start = 0;
        for (end, separator) in text.match_indices(self.layout.separator) {
            self.cells.push(start..end);
            start = end + separator.len();
        }
        self.cells.push(start..text.len());
        Ok(())
    }

    /// Cuts a line in which cells may be in double quotes; in them, two stand for one.
    fn cut_quoted(&mut self) -> Result<()> {
        self.unquoted.clear();
        let mut rest = self.lines.text();
        loop {
            let start = self.unquoted.len();
            if let Some(mut inside) = rest.strip_prefix('"') {
                loop {
                    let Some(quote) = inside.find('"') else {
                        return Err(self.lines.bad(None, "a closing quote", &quoted(rest), FIX));
                    };
                    self.unquoted.push_str(&inside[..quote]);
                    inside = &inside[quote + 1..];
                    let Some(more) = inside.strip_prefix('"') else { break };
                    self.unquoted.push('"');
                    inside = more;
                }
                rest = inside;
            }
            let (cell, more) = match rest.split_once(self.layout.separator) {
                Some((cell, more)) => (cell, Some(more)),
                None => (rest, None),
            };
            self.unquoted.push_str(cell);
            self.cells.push(start..self.unquoted.len());
            match more {
                Some(more) => rest = more,
                None => return Ok(()),
            }
        }
    }
}
