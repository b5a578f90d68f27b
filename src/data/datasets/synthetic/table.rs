//! Rows as Arrow columns.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{ListBuilder, PrimitiveBuilder};
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float32Array, Int32Array, Int64Array, StringArray};
use arrow_schema::{ArrowError, DataType, Field as Column, Schema, SchemaRef};

use crate::data::datasets::synthetic::fields::{Description, FIELDS, Field, scenario_name};
use crate::data::datasets::synthetic::teacher::Row;

/// The columns: the fields, `price`, `history` if there is one, `click` where rows are impressions, `label` and `true_probability`,
/// and of impressions `true_cvr`, the probability of a conversion after a click.
pub(crate) fn schema(history: bool, clicks: bool) -> SchemaRef {
    let mut columns: Vec<Column> = FIELDS
        .iter()
        .map(|field| match is_text(field) {
            true => Column::new(field.name, DataType::Utf8, false),
            false => Column::new(field.name, DataType::Int64, false),
        })
        .collect();
    columns.push(Column::new("price", DataType::Float32, false));
    if history {
        let item = Column::new_list_field(DataType::Int64, true);
        columns.push(Column::new("history", DataType::List(Arc::new(item)), false));
    }
    if clicks {
        columns.push(Column::new("click", DataType::Int32, false));
    }
    columns.push(Column::new("label", DataType::Int32, false));
    columns.push(Column::new("true_probability", DataType::Float32, false));
    if clicks {
        columns.push(Column::new("true_cvr", DataType::Float32, false));
    }
    Arc::new(Schema::new(columns))
}

/// Rows under [`schema`].
pub(crate) fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = FIELDS.iter().map(|field| column(field, rows)).collect();
    columns.push(Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| row.price))));
    if schema.column_with_name("history").is_some() {
        let mut lists = ListBuilder::new(PrimitiveBuilder::<Int64Type>::new());
        for row in rows {
            lists.values().extend(row.features.history.iter().map(|&item| Some(item as i64)));
            lists.append(true);
        }
        columns.push(Arc::new(lists.finish()));
    }
    let clicks: Vec<_> = rows.iter().filter_map(|row| row.click.as_ref()).collect();
    let has_clicks = schema.column_with_name("click").is_some();
    if has_clicks {
        columns.push(Arc::new(Int32Array::from_iter_values(clicks.iter().map(|click| i32::from(click.clicked)))));
    }
    columns.push(Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| i32::from(row.label)))));
    columns.push(Arc::new(Float32Array::from_iter_values(rows.iter().map(|row| row.probability))));
    if has_clicks {
        columns.push(Arc::new(Float32Array::from_iter_values(clicks.iter().map(|click| click.conversion))));
    }
    RecordBatch::try_new(schema.clone(), columns)
}

fn column(field: &Description, rows: &[Row]) -> ArrayRef {
    let ids = rows.iter().map(|row| row.features.of(field.field));
    match field.field {
        Field::Scenario => Arc::new(StringArray::from_iter_values(ids.map(scenario_name))),
        _ if is_text(field) => Arc::new(StringArray::from_iter_values(ids.map(|id| field.values[id as usize]))),
        _ => Arc::new(Int64Array::from_iter_values(ids.map(|id| id as i64))),
    }
}

fn is_text(field: &Description) -> bool {
    field.field == Field::Scenario || !field.values.is_empty()
}
