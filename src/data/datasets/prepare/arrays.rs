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

/// The most bytes of a row of several lines. Where a quote stays open, the rest of the file must not fill the memory.
const LONGEST_ROW: usize = 1 << 20;

/// How a file's lines are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// What stands between cells.
    pub(crate) separator: &'static str,
    pub(crate) quotes: Quotes,
    pub(crate) encoding: Encoding,
}

/// What a double quote at a cell's beginning means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// Nothing: it is a character as any other.
    Plain,
    /// The cell may hold separators, and ends at the next quote; two stand for one.
    Doubled,
    /// The cell may hold anything, quotes and ends of lines too, and ends at a quote that a separator or the end of a line
    /// follows: for people's texts, whose own quotes are written in one way or another.
    Loose,
}

impl Layout {
    /// Cells without quotes, in UTF-8.
    pub(crate) const fn plain(separator: &'static str) -> Self {
        Self { separator, quotes: Quotes::Plain, encoding: Encoding::Utf8 }
    }

    /// Cells that may be in double quotes, in UTF-8.
    pub(crate) const fn quoted(separator: &'static str, quotes: Quotes) -> Self {
        Self { separator, quotes, encoding: Encoding::Utf8 }
    }
}

/// The rows of a table: the cells of wanted columns, in the order in which they were asked for.
pub(crate) struct Table<'a> {
    lines: Lines<'a>,
    /// The row's text, which cells are places of, where there may be quotes.
    unquoted: String,
    layout: Layout,
    /// The wanted columns' names, for messages.
    names: Vec<String>,
    /// Their places in a line.
    places: Vec<usize>,
    /// How many cells each row has; 0 while it is not known.
    width: usize,
    /// What they are, for messages; nothing where the file says it itself.
    all: String,
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
        table.all = format!(" ({})", list(names.iter()));
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
            all: String::new(),
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
            let expected = format!("{} cells{}", self.width, self.all);
            return Err(self.lines.bad(None, &expected, &self.cells.len().to_string(), FIX));
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

    /// A cell as a whole number, or `None` if it is empty.
    pub(crate) fn integer(&self, wanted: usize) -> Result<Option<i64>> {
        self.present(wanted, &[]).map(|_| self.number(wanted, "a whole number")).transpose()
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
        if self.layout.quotes == Quotes::Plain { self.lines.text() } else { &self.unquoted }
    }

    /// Cuts the line into cells.
    fn cut(&mut self) -> Result<()> {
        self.cells.clear();
        match self.layout.quotes {
            Quotes::Plain => {}
            Quotes::Doubled => return self.cut_quoted(),
            Quotes::Loose => return self.cut_loose(),
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

    /// Cuts a row whose cells may be in double quotes that mean nothing within; it goes on in the next line while a quote is
    /// open or cells are missing.
    fn cut_loose(&mut self) -> Result<()> {
        self.unquoted.clear();
        self.unquoted.push_str(self.lines.text());
        while !(self.places_of_loose() && self.cells.len() >= self.width) && self.lines.go_on()? {
            self.unquoted.push('\n');
            self.unquoted.push_str(self.lines.text());
            if self.unquoted.len() > LONGEST_ROW {
                return Err(self.lines.bad(None, "a closing quote", &quoted(&self.unquoted), FIX));
            }
        }
        Ok(())
    }

    /// Finds the cells of a row that may be longer; false if a quote is open at its end.
    fn places_of_loose(&mut self) -> bool {
        let (text, separator) = (self.unquoted.as_str(), self.layout.separator);
        self.cells.clear();
        let mut start = 0;
        loop {
            let rest = &text[start..];
            let end = if rest.starts_with('"') {
                let closes = |&(place, _): &(usize, &str)| {
                    let after = &rest[place + 1..];
                    place > 0 && (after.is_empty() || after.starts_with(separator))
                };
                let Some((quote, _)) = rest.match_indices('"').find(closes) else { return false };
                self.cells.push(start + 1..start + quote);
                start + quote + 1
            } else {
                let end = rest.find(separator).map_or(text.len(), |place| start + place);
                self.cells.push(start..end);
                end
            };
            if end == text.len() {
                return true;
            }
            start = end + separator.len();
        }
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
