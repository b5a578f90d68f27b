//! `polyscene export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::Done;
use crate::app::export::{OnnxEmbeddings, OnnxInputs, OnnxOptions, export_onnx};
use crate::onnx::Weights;

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The run's folder
    run: PathBuf,
    /// The ONNX file to write
    #[arg(long, value_name = "FILE.onnx", value_parser = parse_out)]
    out: PathBuf,
    /// What the model takes: the data's columns as they are, or the numbers of embedding rows (for hashed fields, which ONNX
    /// cannot hash)
    #[arg(long, value_enum, default_value_t = Inputs::Raw)]
    inputs: Inputs,
    /// Where the embeddings of categories are: inside the model, or in files of their own for a lookup service, and the model
    /// takes vectors
    #[arg(long, value_enum, default_value_t = Embeddings::Inside)]
    embeddings: Embeddings,
    /// Write weights to FILE.onnx.data, as is done anyway where the model would be larger than 2 GiB
    #[arg(long)]
    external_data: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Inputs {
    Raw,
    Encoded,
}

#[derive(Clone, Copy, ValueEnum)]
enum Embeddings {
    Inside,
    External,
}

fn parse_out(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_onnx = path.extension().is_some_and(|extension| extension == "onnx");
    if is_onnx { Ok(path) } else { Err("its name must end in .onnx".to_owned()) }
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Done> {
    let options = OnnxOptions {
        run: args.run.clone(),
        out: args.out.clone(),
        inputs: match args.inputs {
            Inputs::Raw => OnnxInputs::Raw,
            Inputs::Encoded => OnnxInputs::Encoded,
        },
        embeddings: match args.embeddings {
            Embeddings::Inside => OnnxEmbeddings::Inside,
            Embeddings::External => OnnxEmbeddings::External,
        },
        weights: if args.external_data { Weights::Apart } else { Weights::Within },
    };
    let exported = export_onnx(&options)?;
    let name_width = exported.inputs.iter().map(|input| input.name.chars().count()).max().unwrap_or(0);
    note!("{} takes", args.out.display());
    for input in &exported.inputs {
        let dims: Vec<String> = input.dims.iter().map(ToString::to_string).collect();
        let shape = format!("{} [{}]", input.element, dims.join(", "));
        note!("  {:name_width$}  {shape:16}  {}", input.name, input.what);
    }
    note!("and gives {}, float [N]", exported.outputs.join(" and "));
    for path in [exported.weights, exported.embeddings].into_iter().flatten() {
        note!("with {}", path.display());
    }
    Ok(Done::All)
}
