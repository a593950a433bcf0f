//! A network as an `.onnx` file for other runtimes: decoded boxes and scores, or detections after nms.
//!
//! The body is the graph that we run; behind the raw maps of its head come standard operators only. Metadata is that of
//! the official export and of Ultralytics (`task`, `names`, `stride`, `imgsz`), which other runtimes read.

mod decode;
mod half;
mod nms;

pub(super) use half::convert_between;
use thiserror::Error;

use super::{INPUT, OnnxModel, Quantisation, build, inline_dysample};
use crate::Size;
use crate::architecture::Architecture;
use crate::detect::NmsOptions;
use crate::onnx::{
    Attribute, Dim, Element, ModelProto, Opset, StringStringEntryProto, names_literal, value_info, value_info_of,
};
use crate::setters::setters;
use crate::weights::Weights;

/// Name of the only output of a file without nms.
pub const DENSE_OUTPUT: &str = "output0";

/// What a file should be like.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExportOptions {
    /// Images of a run; any number if absent.
    pub batch: Option<usize>,
    /// Size of the input, sides multiples of the stride; any such size if absent.
    pub size: Option<Size>,
    /// What the metadata recommend where the size is free.
    pub usual_size: Size,
    /// Opset.
    pub opset: Opset,
    /// Whether weights and feature maps are f16. Inputs and outputs, the sampling of DySample and the decoding of boxes
    /// stay f32: f16 has steps of half a pixel at 640.
    pub half: bool,
    /// NMS inside the file: it gives detections instead of the values of all anchor points, at most that many of an image.
    /// Fewer are filled up with confidences of 0.
    pub nms: Option<NmsOptions>,
    /// With NMS: confidences must be above this.
    pub confidence_threshold: f32,
    /// Whether DySample stays one node with its body as a function, which yolo9 runs on its own operator, instead of
    /// its body of standard operators in the graph, which every runtime knows.
    pub dysample_function: bool,
    /// Which convolutions are on 8-bit integers; not together with `half`.
    pub quantisation: Option<Quantisation>,
}

impl Default for ExportOptions {
    /// Any number of images of any size, in f32, without nms.
    fn default() -> Self {
        Self {
            batch: None,
            size: None,
            usual_size: Size::square(640),
            opset: Opset::default(),
            half: false,
            nms: None,
            confidence_threshold: 0.25,
            dysample_function: false,
            quantisation: None,
        }
    }
}

setters!(ExportOptions {
    batch: Option<usize>,
    size: Option<Size>,
    usual_size: Size,
    opset: Opset,
    half: bool,
    nms: Option<NmsOptions>,
    confidence_threshold: f32,
    dysample_function: bool,
    quantisation: Option<Quantisation>,
});

/// Why a network cannot be exported so, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ExportError(String);

/// Builds the file. `notes` are added to its metadata.
///
/// # Errors
/// [`ExportError`] when the size does not fit the strides, a weight does not fit into f16, or the file shall be in f16 and on
/// 8-bit integers.
///
/// # Panics
/// If `weights` were bound to another architecture.
pub fn export(
    architecture: &Architecture,
    weights: Weights,
    options: &ExportOptions,
    class_names: &[String],
    notes: &[(String, String)],
) -> Result<ModelProto, ExportError> {
    let stride = architecture.stride();
    if let Some(size) = options.size
        && !(size.width.is_multiple_of(stride) && size.height.is_multiple_of(stride) && size.area() > 0)
    {
        let reason = format!("an input of {size} does not fit: both sides must be multiples of {stride}");
        return Err(ExportError(reason));
    }
    let mut model = build(architecture, weights, options.opset);
    if let Some(quantisation) = &options.quantisation {
        if options.half {
            return Err(ExportError("a file is either in f16 or on 8-bit integers".into()));
        }
        let convolutions = model.quantisable(architecture);
        model.quantise(quantisation, &convolutions);
    }
    if options.half {
        half::convert(&mut model.proto)?;
    }
    finish(&mut model, architecture, options);
    if !options.dysample_function {
        inline_dysample(&mut model.proto);
    }
    model.proto.metadata_props = metadata(architecture, options, class_names, notes);
    Ok(model.proto)
}

/// Inputs, outputs, and what comes between the raw maps and these.
fn finish(model: &mut OnnxModel, architecture: &Architecture, options: &ExportOptions) {
    let graph = model.proto.graph.get_or_insert_default();
    let (height, width) = (options.size.map(|size| size.height), options.size.map(|size| size.width));
    let free = |length: Option<usize>, name: &'static str| length.map_or(Dim::Named(name), Dim::Fixed);
    let batch = free(options.batch, "batch");
    let image = [batch, Dim::Fixed(architecture.input_channels()), free(height, "height"), free(width, "width")];
    graph.input = vec![value_info(INPUT, &image)];
    decode::append(graph, &model.head, options.size, options.half);
    let anchors = options.size.map(|size| decode::anchors(&model.head, size));
    graph.output = match &options.nms {
        None => {
            graph.push("Concat", &[decode::BOXES, decode::SCORES], DENSE_OUTPUT, &[("axis", Attribute::Int(1))]);
            vec![value_info(DENSE_OUTPUT, &[batch, Dim::Fixed(4 + model.head.classes), free(anchors, "anchors")])]
        }
        Some(nms) => {
            nms::append(graph, model.head.classes, (nms, options.confidence_threshold), anchors);
            let count = free(anchors.map(|anchors| anchors.min(nms.max_detections)), "detections");
            vec![
                value_info(nms::BOXES, &[batch, count, Dim::Fixed(4)]),
                value_info(nms::SCORES, &[batch, count]),
                value_info_of(nms::CLASSES, Element::Int64, &[batch, count]),
            ]
        }
    };
}

fn metadata(
    architecture: &Architecture,
    options: &ExportOptions,
    class_names: &[String],
    notes: &[(String, String)],
) -> Vec<StringStringEntryProto> {
    let size = options.size.unwrap_or(options.usual_size);
    let levels = &architecture.head().main().levels;
    let strides: Vec<String> = levels.iter().map(|level| level.stride.to_string()).collect();
    let mut entries = vec![
        ("task".to_owned(), "detect".to_owned()),
        ("names".into(), names_literal(class_names)),
        ("stride".into(), architecture.stride().to_string()),
        ("strides".into(), format!("[{}]", strides.join(", "))),
        ("imgsz".into(), format!("[{}, {}]", size.height, size.width)),
        ("batch".into(), options.batch.unwrap_or(1).to_string()),
        ("channels".into(), architecture.input_channels().to_string()),
        ("half".into(), if options.half { "True" } else { "False" }.into()),
    ];
    if let Some(nms) = &options.nms {
        entries.push(("conf".into(), options.confidence_threshold.to_string()));
        entries.push(("iou".into(), nms.iou_threshold.to_string()));
        entries.push(("max_det".into(), nms.max_detections.to_string()));
        entries.push(("agnostic".into(), if nms.class_agnostic { "True" } else { "False" }.into()));
    }
    entries.extend_from_slice(notes);
    entries.into_iter().map(|(key, value)| StringStringEntryProto { key: Some(key), value: Some(value) }).collect()
}
