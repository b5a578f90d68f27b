//! Reading an owner's file line by line, as published or compressed with gzip.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use crate::data::error::{BadRow, Error, Place, Result};
use crate::data::read::compressed::Compression;
use crate::data::read::csv_file::quoted;

/// The most bytes of one line. What has no line ends is no text file, and must not fill the memory.
const LONGEST_LINE: u64 = 1 << 26;

/// Reports how many bytes of the files have been read.
pub(crate) struct Meter<'a> {
    done: Cell<u64>,
    total: Cell<u64>,
    show: RefCell<&'a mut dyn FnMut(u64, u64)>,
}

impl<'a> Meter<'a> {
    /// `show` is called with the bytes read and the bytes to read.
    pub(crate) fn new(show: &'a mut dyn FnMut(u64, u64)) -> Rc<Self> {
        Rc::new(Self { done: Cell::new(0), total: Cell::new(0), show: RefCell::new(show) })
    }

    /// Counts on reading a file so many times. Gives its size in bytes.
    pub(crate) fn expect(&self, path: &Path, times: u64) -> Result<u64> {
        let bytes = path.metadata().map_err(|error| Error::io(path, error))?.len();
        self.expect_bytes(times * bytes);
        Ok(bytes)
    }

    /// Counts on reading so many bytes.
    pub(crate) fn expect_bytes(&self, bytes: u64) {
        self.total.set(self.total.get() + bytes);
    }

    fn add(&self, bytes: usize) {
        self.done.set(self.done.get() + bytes as u64);
        (self.show.borrow_mut())(self.done.get(), self.total.get());
    }
}

/// A file whose reading moves the meter.
pub(crate) struct Metered<'a> {
    pub(crate) file: File,
    pub(crate) meter: Rc<Meter<'a>>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.meter.add(bytes);
        Ok(bytes)
    }
}

/// How a file's bytes are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    /// Each byte is the character of its number.
    Latin1,
}

/// The lines of a text file, plain or gzip by its first bytes.
pub(crate) struct Lines<'a> {
    path: PathBuf,
    reader: Box<dyn BufRead + 'a>,
    encoding: Encoding,
    bytes: Vec<u8>,
    text: String,
    /// The line's number, and that of the row's first one.
    number: u64,
    first: u64,
}

impl<'a> Lines<'a> {
    /// Opens a file; no line has been read.
    pub(crate) fn open(path: &Path, encoding: Encoding, meter: &Rc<Meter<'a>>) -> Result<Self> {
        let io = |error| Error::io(path, error);
        let mut file = File::open(path).map_err(io)?;
        let zipped = Compression::of(&mut file).map_err(io)? == Compression::Gzip;
        let metered = Metered { file, meter: meter.clone() };
        let reader: Box<dyn BufRead + 'a> = match zipped {
            true => {
                let compressed = BufReader::with_capacity(1 << 18, metered);
                Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(compressed)))
            }
            false => Box::new(BufReader::with_capacity(1 << 18, metered)),
        };
        Ok(Self {
            path: path.to_owned(),
            reader,
            encoding,
            bytes: Vec::new(),
            text: String::new(),
            number: 0,
            first: 0,
        })
    }

    /// How many lines of a file are not empty.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub(crate) fn count(path: &Path, encoding: Encoding, meter: &Rc<Meter<'a>>) -> Result<u64> {
        let (mut lines, mut count) = (Self::open(path, encoding, meter)?, 0);
        while lines.next()? {
            count += 1;
        }
        Ok(count)
    }

    /// Reads the next line that is not empty; false at the end.
    ///
    /// # Errors
    /// When the file cannot be read or decompressed, or the line is no text or does not end.
    pub(crate) fn next(&mut self) -> Result<bool> {
        loop {
            self.first = self.number + 1;
            let found = self.go_on()?;
            if !found || !self.text.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Reads the next line, empty or not, as one more of the same row; false at the end.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub(crate) fn go_on(&mut self) -> Result<bool> {
        self.bytes.clear();
        self.text.clear();
        self.number += 1;
        let read = (&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut self.bytes);
        match read.map_err(|error| self.unreadable(error))? {
            0 => return Ok(false),
            read if read as u64 == LONGEST_LINE => {
                let (expected, found) = ("a line of less than 64 MiB", "one that does not end");
                return Err(self.bad(
                    None,
                    expected,
                    found,
                    "download the file again, and unpack it if it is an archive",
                ));
            }
            _ => {}
        }
        while self.bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            self.bytes.pop();
        }
        self.decode().map(|()| true)
    }

    fn decode(&mut self) -> Result<()> {
        if self.encoding == Encoding::Latin1 {
            self.text.extend(self.bytes.iter().map(|&byte| char::from(byte)));
            return Ok(());
        }
        // Some tools begin a file with a mark of its byte order.
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text.push_str(text),
            Err(_) => {
                let found = quoted(&String::from_utf8_lossy(bytes));
                return Err(self.bad(None, "text in UTF-8", &found, "convert the file, or download it again"));
            }
        }
        Ok(())
    }

    /// The line, without its end.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// An error that names this row, by its first line.
    pub(crate) fn bad(&self, column: Option<&str>, expected: &str, found: &str, fix: &str) -> Error {
        let row = BadRow {
            path: self.path.clone(),
            place: Place::Line(self.first),
            column: column.map(str::to_owned),
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        Error::RawLine { row: Box::new(row), fix: fix.to_owned() }
    }

    fn unreadable(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                let place = Place::Line(self.number);
                let reason =
                    format!("{}, {place}: the compressed file is cut off or damaged ({error})", self.path.display());
                Error::RawFiles(format!("{reason}; download it again"))
            }
            _ => Error::io(&self.path, error),
        }
    }
}
