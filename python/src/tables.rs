//! Tables by Arrow's C data interface, in both directions.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::PathBuf;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayReader, ArrayRef, Float32Array, RecordBatch, StructArray, make_array};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use polyscene::SplitName;
use polyscene::app::{NewData, TrainingTables};
use polyscene::data::{Table, nearest, suggestion};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyCapsule, PyDict, PyIterator, PyTuple};

use crate::errors::{exception, named};

const STREAM: &CStr = c"arrow_array_stream";
const ARRAY: &CStr = c"arrow_array";
const SCHEMA: &CStr = c"arrow_schema";

const EXPECTED: &str = "a table with Arrow's PyCapsule interface, such as a DataFrame of pandas (2.2 or newer, with pyarrow) or of \
                        polars or a table of pyarrow, or a path";

/// What training reads instead of the files that the configuration names.
pub(crate) enum TrainingData {
    Path(String),
    Tables(TrainingTables),
}

/// A path, a table, or a dictionary of splits' tables.
pub(crate) fn training_data(data: &Bound<'_, PyAny>) -> PyResult<TrainingData> {
    let Ok(splits) = data.cast::<PyDict>() else {
        return Ok(match new_data(data)? {
            NewData::Path(path) => TrainingData::Path(path),
            NewData::Table(table) => TrainingData::Tables(TrainingTables::Whole(table)),
        });
    };
    let mut tables = BTreeMap::new();
    for (name, table) in splits {
        let name: String = name.extract().unwrap_or_else(|_| name.to_string());
        let Some(split) = SplitName::ALL.into_iter().find(|split| split.name() == name) else {
            let near = suggestion(nearest(&name, SplitName::ALL.map(SplitName::name)));
            return Err(named(
                data.py(),
                "DataError",
                format!("data: unknown split \"{name}\"{near}; the splits are \"train\", \"valid\" and \"test\""),
            ));
        };
        tables.insert(split, import(&table, &format!("data[\"{name}\"]"))?);
    }
    if !tables.contains_key(&SplitName::Train) {
        return Err(named(data.py(), "DataError", "data: there is no table for \"train\" to learn from".to_owned()));
    }
    Ok(TrainingData::Tables(TrainingTables::Split(tables)))
}

/// A path or a table.
pub(crate) fn new_data(data: &Bound<'_, PyAny>) -> PyResult<NewData> {
    match data.extract::<PathBuf>() {
        Ok(path) => {
            let path = path.to_str().ok_or_else(|| PyValueError::new_err("data: expected a path that is UTF-8"))?;
            Ok(NewData::Path(path.to_owned()))
        }
        Err(_) => Ok(NewData::Table(import(data, "data")?)),
    }
}

/// Takes a table over from whatever made it, without copying its columns. A stream is read to its end, but not copied either.
fn import(table: &Bound<'_, PyAny>, place: &str) -> PyResult<Table> {
    let py = table.py();
    let (schema, batches) = if table.hasattr("__arrow_c_stream__")? {
        read_stream(table, place)?
    } else if table.hasattr("__arrow_c_array__")? {
        read_array(table, place)?
    } else {
        let found = table.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{place}: expected {EXPECTED}; found {found}")));
    };
    Table::new(schema, batches).map_err(|error| exception(py, error.into()))
}

fn read_stream(table: &Bound<'_, PyAny>, place: &str) -> PyResult<(SchemaRef, Vec<RecordBatch>)> {
    let capsule = table.call_method0("__arrow_c_stream__")?;
    let pointer = capsule.cast::<PyCapsule>()?.pointer_checked(Some(STREAM))?;
    // SAFETY: by its name the capsule holds such a stream, which is moved out of it, as the interface has it.
    let mut stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.cast().as_ptr()) };
    let schema = stream_schema(&mut stream);
    // Other threads may make the batches, and need the interpreter for it.
    let read = table.py().detach(|| {
        let mut reader = ArrayStreamReader::try_new(stream)?;
        let schema = schema_of(reader.field().data_type())?;
        let batches = reader.by_ref().map(|array| batch_of(&schema, &array?)).collect::<Result<_, _>>()?;
        Ok((schema, batches))
    });
    read.map_err(|error| unreadable(table.py(), place, schema.as_ref(), &error))
}

fn read_array(table: &Bound<'_, PyAny>, place: &str) -> PyResult<(SchemaRef, Vec<RecordBatch>)> {
    let capsules = table.call_method0("__arrow_c_array__")?;
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = capsules.extract()?;
    let (schema, array) = (schema.pointer_checked(Some(SCHEMA))?, array.pointer_checked(Some(ARRAY))?);
    // SAFETY: by their names the capsules hold these, which are moved out of them, as the interface has it.
    let (schema, array) = unsafe {
        let array = FFI_ArrowArray::from_raw(array.cast().as_ptr());
        (FFI_ArrowSchema::from_raw(schema.cast().as_ptr()), array)
    };
    // SAFETY: the array is of the schema's type, as whoever gave both must see to.
    let data = unsafe { from_ffi(array, &schema) };
    let read = data.map(make_array).and_then(|array| {
        let columns = schema_of(array.data_type())?;
        let batch = batch_of(&columns, &array)?;
        Ok((columns, vec![batch]))
    });
    read.map_err(|error| unreadable(table.py(), place, Some(&schema), &error))
}

/// What is wrong with a table that could not be taken over; it names the column whose type may be why.
fn unreadable(py: Python<'_>, place: &str, schema: Option<&FFI_ArrowSchema>, error: &ArrowError) -> PyErr {
    // Of a type that Arrow does not have in Rust, or of nulls only, which some libraries (polars) hand on in a way that the
    // interface does not know.
    let is_untaken = |column: &&FFI_ArrowSchema| matches!(DataType::try_from(*column), Err(_) | Ok(DataType::Null));
    let column = schema.and_then(|schema| schema.children().find(is_untaken)).and_then(FFI_ArrowSchema::name);
    let text = match column {
        Some(column) => {
            format!(
                "{place}: the column \"{column}\" is of a type that cannot be taken over ({error}); cast or drop it"
            )
        }
        None => format!("{place}: {error}"),
    };
    named(py, "DataError", text)
}

/// The types of a stream's columns, where it tells them.
fn stream_schema(stream: &mut FFI_ArrowArrayStream) -> Option<FFI_ArrowSchema> {
    let read = stream.get_schema()?;
    let mut schema = FFI_ArrowSchema::empty();
    // SAFETY: the function is the stream's own, and the schema is there for it to be written.
    let code = unsafe { read(stream, &raw mut schema) };
    (code == 0).then_some(schema)
}

/// The columns of a table, which is an array of structs.
fn schema_of(data_type: &DataType) -> Result<SchemaRef, ArrowError> {
    match data_type {
        DataType::Struct(fields) => Ok(Schema::new(fields.clone()).into()),
        other => Err(ArrowError::SchemaError(format!("expected a table, found one column, of type {other}"))),
    }
}

fn batch_of(schema: &SchemaRef, array: &ArrayRef) -> Result<RecordBatch, ArrowError> {
    let Some(rows) = array.as_any().downcast_ref::<StructArray>().filter(|rows| rows.null_count() == 0) else {
        return Err(ArrowError::InvalidArgumentError("expected rows, found some that are null".to_owned()));
    };
    // What a producer says of missing values is not always so: the engine looks for itself.
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>();
    RecordBatch::try_new(Schema::new(fields).into(), rows.columns().to_vec())
}

/// Probabilities, one for each row of a table and in its order. An Arrow array of single-precision floats.
#[pyclass(frozen, module = "polyscene", name = "Predictions")]
pub(crate) struct Predictions {
    pub(crate) array: Float32Array,
    /// JSON.
    pub(crate) summary: String,
}

#[pymethods]
impl Predictions {
    /// What `polyscene predict --json` prints: rows, skipped rows, and what of each column is missing or unknown.
    #[getter]
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        crate::from_json(py, &self.summary)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        // Another type is only ever wished for: whoever takes the array looks at the type that it has.
        drop(requested_schema);
        let exported = to_ffi(&self.array.to_data());
        let (array, schema) = exported.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let schema = PyCapsule::new_with_value(py, schema, SCHEMA)?;
        let array = PyCapsule::new_with_value(py, array, ARRAY)?;
        PyTuple::new(py, [schema, array])
    }

    /// As a NumPy array of float32; NaN for rows without a prediction.
    fn to_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let bytes: Vec<u8> = self.array.iter().flat_map(|p| p.unwrap_or(f32::NAN).to_ne_bytes()).collect();
        let numpy = py.import("numpy")?;
        numpy.call_method1("frombuffer", (PyByteArray::new(py, &bytes), numpy.getattr("float32")?))
    }

    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if copy == Some(false) {
            return Err(PyValueError::new_err("predictions are copied to NumPy: leave copy=False out"));
        }
        let array = self.to_numpy(py)?;
        match dtype {
            Some(dtype) => array.call_method1("astype", (dtype,)),
            None => Ok(array),
        }
    }

    /// As a list of floats; `None` for rows without a prediction.
    fn to_list(&self) -> Vec<Option<f32>> {
        self.array.iter().collect()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.to_list().into_pyobject(py)?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.array.len()
    }

    fn __getitem__(&self, row: isize) -> PyResult<Option<f32>> {
        let len = self.array.len();
        let at = if row < 0 { len.checked_add_signed(row) } else { usize::try_from(row).ok() };
        let Some(at) = at.filter(|at| *at < len) else {
            return Err(PyIndexError::new_err(format!("row {row} of {len}")));
        };
        Ok(self.array.is_valid(at).then(|| self.array.value(at)))
    }

    fn __repr__(&self) -> String {
        let shown: Vec<String> =
            self.array.iter().take(3).map(|p| p.map_or_else(|| "None".to_owned(), |p| format!("{p:.4}"))).collect();
        let more = if self.array.len() > 3 { ", ..." } else { "" };
        format!("Predictions({} rows: {}{more})", self.array.len(), shown.join(", "))
    }
}
