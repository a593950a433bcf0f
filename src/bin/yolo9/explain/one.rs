//! What the DySample modules of one network do to an image.

use std::collections::BTreeMap;

use image::RgbImage;
use serde_json::json;
use yolo9::architecture::Step;
use yolo9::detect::DetectOutput;
use yolo9::graph::DySampleValues;
use yolo9::image::Letterbox;
use yolo9::model::Network;

use super::draw::{self, Zoom};
use super::maps::Sheet;
use super::module::Explained;
use super::{Explain, Explanation, Session, boxes_json, input_image, map, marks, name_of};
use crate::cli::{ExplainArgs, Globals, Region};
use crate::report::counted;

pub(super) struct OneNetwork {
    weights: String,
    region: Option<Region>,
    values: Vec<DySampleValues>,
    session: Session,
}

impl OneNetwork {
    pub(super) fn open(args: &ExplainArgs, globals: &Globals) -> anyhow::Result<Self> {
        let (values, session) = Session::open(&args.model, args, globals, |network| modules(args, network))?;
        Ok(Self { weights: args.model.weights.clone(), region: args.region, values, session })
    }
}

/// The modules that were asked for, laid open.
fn modules(args: &ExplainArgs, network: &mut Network) -> anyhow::Result<Vec<DySampleValues>> {
    let mut values = network.onnx.expose_dysample(&network.architecture);
    if values.is_empty() {
        let has = |step: &&Step| step.operation.as_dysample().is_some();
        match network.architecture.steps().iter().find(has) {
            Some(step) => anyhow::bail!(
                "{}: its DySample, of layer {}, is in the auxiliary branch, which only training uses: no box depends on it",
                args.model.weights,
                step.layer
            ),
            None => anyhow::bail!(
                "{} has no DySample; its upsamplers sample the same points in every image",
                args.model.weights
            ),
        }
    }
    let layers: Vec<String> = values.iter().map(|values| values.layer.to_string()).collect();
    for layer in &args.layer {
        anyhow::ensure!(
            values.iter().any(|values| values.layer == *layer),
            "--layer {layer}: there is no DySample; the model has it at {}",
            layers.join(", ")
        );
    }
    values.retain(|values| args.layer.is_empty() || args.layer.contains(&values.layer));
    Ok(values)
}

impl Explain for OneNetwork {
    fn explain(&mut self, name: &str, image: &RgbImage) -> anyhow::Result<Explanation> {
        let (prepared, maps, output) = self.session.run(image)?;
        let explained = |values: &DySampleValues| {
            let DySampleValues { input, offset, output, .. } = values;
            Explained::new(values, [map(&maps, input)?, map(&maps, offset)?, map(&maps, output)?])
        };
        let modules = self.values.iter().map(explained).collect::<anyhow::Result<Vec<Explained>>>()?;
        let input = input_image(prepared.tensor());
        let area = self.region.map(|region| area(region, image, prepared.letterbox())).transpose()?;
        let headlines: Vec<String> = modules.iter().map(Explained::headline).collect();
        let conclusion = format!("{name}: {}", headlines.join("; "));
        let found = counted_boxes(&output, &self.session.class_names);
        let marks = marks(&output.detections, &self.session.class_names, prepared.letterbox());
        let groups = modules.iter().map(|module| module.groups).max().unwrap_or_default();
        let mut sheet = Sheet::new(&input, &marks, &format!("{name}: {found}"), &draw::legend(groups));
        let mut sentences = vec![conclusion];
        for module in &modules {
            let zoom = area.map_or_else(|| Zoom::busiest(module), |area| Zoom::of_area(module, area, &input));
            draw::block(&mut sheet, &input, module, zoom);
            sentences.push(format!("  {}", module.sentence(prepared.size())));
        }
        sentences.push(format!("  {found}"));
        let json = json!({
            "image": name,
            "model": self.weights,
            "input": [prepared.size().width, prepared.size().height],
            "layers": modules.iter().map(Explained::json).collect::<Vec<_>>(),
            "boxes": boxes_json(&output.detections, &self.session.class_names),
        });
        Ok(Explanation { sheet: sheet.image, sentences, json })
    }
}

/// `5 boxes: 4 person, 1 bus`.
fn counted_boxes(output: &DetectOutput, names: &[String]) -> String {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    output.detections.iter().for_each(|found| *counts.entry(found.class).or_default() += 1);
    let classes: Vec<String> =
        counts.into_iter().map(|(class, count)| format!("{count} {}", name_of(class, names))).collect();
    match classes.as_slice() {
        [] => "no box".into(),
        classes => format!("{}: {}", counted(output.detections.len(), "box"), classes.join(", ")),
    }
}

/// The corners of a part of the image in pixels of the network's input.
fn area(region: Region, image: &RgbImage, letterbox: &Letterbox) -> anyhow::Result<[f32; 4]> {
    let Region { left, top, width, height } = region;
    anyhow::ensure!(
        left < image.width() && top < image.height(),
        "--region {left},{top},{width},{height}: begins outside the image, which has {}x{} pixels",
        image.width(),
        image.height()
    );
    let corner = |x: u32, limit: u32| x.min(limit) as f32;
    let (x1, y1) = letterbox.to_input(left as f32, top as f32);
    let (right, bottom) = (left.saturating_add(width), top.saturating_add(height));
    let (x2, y2) = letterbox.to_input(corner(right, image.width()), corner(bottom, image.height()));
    Ok([x1, y1, x2, y2])
}
