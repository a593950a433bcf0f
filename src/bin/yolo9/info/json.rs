//! One subject as JSON.

use serde_json::{Value, json};
use yolo9::Size;
use yolo9::architecture::{LayerSummary, Role};
use yolo9::config::Argument;

use super::subject::{Content, Subject, TensorStatistics};

pub(super) fn subject(subject: &Subject, imgsz: Size) -> anyhow::Result<Value> {
    let mut value = json!({
        "name": subject.name,
        "kind": subject.kind,
        "format": subject.format.map(|format| format.word()),
        "classes": subject.classes(),
        "names": subject.class_names,
        "metadata": subject.metadata,
        "warnings": subject.warnings,
    });
    if let Some(checkpoint) = subject.checkpoint() {
        let statistics = TensorStatistics::of(checkpoint);
        value["tensors"] = json!({ "count": statistics.count, "bytes": statistics.bytes, "kinds": statistics.kinds });
    }
    match &subject.content {
        Content::ResolvedNetwork { network, .. } => {
            value["network"] = json!(network.config);
            value["activation"] = json!(network.activation.to_string());
            value["strides"] = json!(network.strides());
            value["imgsz"] = json!([imgsz.height, imgsz.width]);
            value["layers"] = network.architecture.summary(imgsz)?.iter().map(layer).collect();
            let totals = network.totals(imgsz)?;
            value["totals"] = totals
                .iter()
                .map(|total| {
                    let (parameters, flops) = (total.cost.parameters, total.cost.flops);
                    let form = total.form.replace(' ', "_");
                    (form, json!({ "layers": total.layers, "parameters": parameters, "flops": flops }))
                })
                .collect::<serde_json::Map<String, Value>>()
                .into();
        }
        Content::Weights { reason, .. } => value["no_network"] = json!(reason),
        Content::Exported(file) => {
            value["onnx"] = json!({
                "producer": file.producer,
                "opset": file.opset,
                "signature": file.signature,
                "operators": file.operators,
                "stride": file.stride(),
            });
        }
    }
    Ok(value)
}

pub(super) fn layer(layer: &LayerSummary) -> Value {
    let outputs = layer.outputs.iter().map(|(channels, size)| json!([channels, size.height, size.width]));
    json!({
        "index": layer.spec.index,
        "from": layer.spec.from,
        "module": layer.spec.module.to_string(),
        "args": layer.spec.args.iter().map(argument).collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "parameters": layer.cost.parameters,
        "flops": layer.cost.flops,
        "role": if layer.role == Role::Main { "main" } else { "auxiliary" },
    })
}

fn argument(argument: &Argument) -> Value {
    match argument {
        Argument::None => Value::Null,
        Argument::Int(value) => json!(value),
        Argument::Float(value) => json!(value),
        Argument::Bool(value) => json!(value),
        Argument::Text(text) => json!(text),
        Argument::List(items) => items.iter().map(self::argument).collect(),
        other => json!(other.to_string()),
    }
}
