//! `explain --compare`: where the feature maps that the heads of two networks read differ, and which boxes differ with them.

use image::{Rgb, RgbImage};
use ndarray::{Array2, Array4, s};
use serde_json::{Value, json};
use yolo9::compare::{Change, Compared, compare_detections};
use yolo9::detect::{BoxXyxy, Detection};
use yolo9::graph::HeadInput;
use yolo9::image::Letterbox;
use yolo9::model::Network;
use yolo9::output::Mark;

use super::maps::{Sheet, coloured, range_of};
use super::module::lengths;
use super::{Explain, Explanation, Maps, Session, box_json, in_input, input_image, map, mark, name_of};
use crate::cli::{ExplainArgs, Globals, ModelArgs};
use crate::report::counted;

const OF_A: [u8; 3] = [20, 110, 220];
const OF_B: [u8; 3] = [230, 120, 20];
const MOVED: [u8; 3] = [140, 60, 190];

/// The feature maps of both networks at one stride: the length of the channel vector at each position, as a multiple of its mean
/// over the image, since networks that were trained apart have scales of their own.
struct Level {
    stride: usize,
    maps: [Array2<f32>; 2],
    difference: Array2<f32>,
}

impl Level {
    fn new(stride: usize, a: &Array4<f32>, b: &Array4<f32>) -> anyhow::Result<Self> {
        let [a, b] = [a, b].map(|map| {
            let lengths = lengths(map);
            let mean = lengths.mean().unwrap_or_default().max(1e-12);
            lengths / mean
        });
        anyhow::ensure!(
            a.dim() == b.dim(),
            "the maps of stride {stride} are of {:?} and {:?} positions; the two models need inputs of one size",
            a.dim(),
            b.dim()
        );
        let difference = (&a - &b).mapv(f32::abs);
        Ok(Self { stride, maps: [a, b], difference })
    }

    /// Mean difference, in means of the maps.
    fn mean(&self) -> f32 {
        self.difference.mean().unwrap_or_default()
    }

    /// Pearson's correlation of both maps over positions.
    fn correlation(&self) -> f64 {
        let [a, b] = &self.maps;
        let centred = |map: &Array2<f32>| map.mapv(f64::from) - f64::from(map.mean().unwrap_or_default());
        let (a, b) = (centred(a), centred(b));
        let scale = ((&a * &a).sum() * (&b * &b).sum()).sqrt();
        if scale > 0.0 { (&a * &b).sum() / scale } else { 1.0 }
    }

    fn json(&self) -> Value {
        json!({ "stride": self.stride, "mean_difference": self.mean(), "correlation": self.correlation() })
    }

    /// The mean difference below a box of the network's input, as a multiple of that of the whole map.
    fn below(&self, bbox: &BoxXyxy) -> f32 {
        let (rows, columns) = self.difference.dim();
        let range = |from: f32, to: f32, count: usize| {
            let first = ((from / self.stride as f32).floor().max(0.0) as usize).min(count - 1);
            let end = ((to / self.stride as f32).ceil().max(0.0) as usize).clamp(first + 1, count);
            first..end
        };
        let part = self.difference.slice(s![range(bbox.y1, bbox.y2, rows), range(bbox.x1, bbox.x2, columns)]);
        part.mean().unwrap_or_default() / self.mean().max(1e-12)
    }
}

pub(super) struct TwoNetworks {
    names: [String; 2],
    /// What the heads read.
    inputs: [Vec<HeadInput>; 2],
    sessions: [Session; 2],
}

impl TwoNetworks {
    pub(super) fn open(args: &ExplainArgs, names: [&String; 2], globals: &Globals) -> anyhow::Result<Self> {
        let expose = |network: &mut Network| Ok(network.onnx.expose_head_inputs(&network.architecture));
        let open = |name: &String| Session::open(&ModelArgs::of(name), args, globals, expose);
        let ((inputs_a, a), (inputs_b, b)) = (open(names[0])?, open(names[1])?);
        let strides = |inputs: &[HeadInput]| inputs.iter().map(|input| input.stride).collect::<Vec<_>>();
        anyhow::ensure!(
            strides(&inputs_a) == strides(&inputs_b),
            "--compare: the heads have strides {:?} and {:?}; expected the same",
            strides(&inputs_a),
            strides(&inputs_b)
        );
        // Class ids mean something only with the names of their own model.
        anyhow::ensure!(
            a.class_names == b.class_names,
            "--compare: the models have different classes ({} and {}); expected the same",
            a.class_names.len(),
            b.class_names.len()
        );
        Ok(Self { names: names.map(String::clone), inputs: [inputs_a, inputs_b], sessions: [a, b] })
    }
}

impl Explain for TwoNetworks {
    fn explain(&mut self, name: &str, image: &RgbImage) -> anyhow::Result<Explanation> {
        let [a, b] = &mut self.sessions;
        let (prepared, maps_a, found_a) = a.run(image)?;
        let (_, maps_b, found_b) = b.run(image)?;
        let levels = levels(&self.inputs, [&maps_a, &maps_b])?;
        let boxes = Boxes {
            compared: compare_detections(&found_a.detections, &found_b.detections),
            class_names: &a.class_names,
            letterbox: prepared.letterbox(),
        };
        let conclusion = format!("{name}: {}", conclusion(&levels, &boxes));
        let input = input_image(prepared.tensor());
        let mut sheet = Sheet::new(&input, &boxes.marks(), &conclusion, &legend(&self.names));
        let mut sentences = vec![conclusion];
        for level in &levels {
            block(&mut sheet, level);
            sentences.push(format!(
                "  stride {}: mean difference {:.3} of the maps' mean, correlation over positions {:.3}",
                level.stride,
                level.mean(),
                level.correlation()
            ));
        }
        sentences.extend(boxes.differing().map(|compared| {
            let more = boxes.difference_below(compared, &levels);
            format!(
                "  {}; the maps differ there {more:.1} times as much as on average",
                sentence(compared, boxes.class_names)
            )
        }));
        let json = json!({
            "image": name,
            "a": self.names[0],
            "b": self.names[1],
            "levels": levels.iter().map(Level::json).collect::<Vec<_>>(),
            "boxes": boxes.json(&levels),
        });
        Ok(Explanation { sheet: sheet.image, sentences, json })
    }
}

/// The boxes of both networks, paired.
struct Boxes<'a> {
    compared: Vec<Compared>,
    class_names: &'a [String],
    letterbox: &'a Letterbox,
}

impl Boxes<'_> {
    fn differing(&self) -> impl Iterator<Item = &Compared> {
        self.compared.iter().filter(|compared| compared.change != Change::Same)
    }

    /// How much the maps differ below a box, at the stride where they do so most, as a multiple of the mean.
    fn difference_below(&self, compared: &Compared, levels: &[Level]) -> f32 {
        let Some(found) = compared.a.or(compared.b) else { return 0.0 };
        let bbox = in_input(&found.bbox, self.letterbox);
        levels.iter().map(|level| level.below(&bbox)).fold(0.0, f32::max)
    }

    /// Of boxes that differ.
    fn marks(&self) -> Vec<Mark> {
        let mark = |compared: &Compared| {
            let colour = match compared.change {
                Change::OnlyA => OF_A,
                Change::OnlyB => OF_B,
                Change::Same | Change::Moved | Change::Rescored => MOVED,
            };
            Some(mark(compared.b.or(compared.a).as_ref()?, self.class_names, self.letterbox, colour))
        };
        self.differing().filter_map(mark).collect()
    }

    fn json(&self, levels: &[Level]) -> Vec<Value> {
        let of = |found: &Option<Detection>| found.as_ref().map(|found| box_json(found, self.class_names));
        let pair = |compared: &Compared| {
            json!({
                "change": compared.change.name(),
                "a": of(&compared.a),
                "b": of(&compared.b),
                "difference_there": self.difference_below(compared, levels),
            })
        };
        self.compared.iter().map(pair).collect()
    }
}

/// Which maps differ most, and how many boxes with them.
fn conclusion(levels: &[Level], boxes: &Boxes<'_>) -> String {
    let (differing, total) = (boxes.differing().count(), counted(boxes.compared.len(), "box"));
    let most = levels.iter().max_by(|a, b| a.mean().total_cmp(&b.mean()));
    match most.filter(|most| most.mean() > 1e-6 || differing > 0) {
        None => format!("no difference, neither in feature maps nor in {total}"),
        Some(most) => format!(
            "the feature maps differ most at stride {}, by {:.2} of their mean; of {total} {differing} {}",
            most.stride,
            most.mean(),
            if differing == 1 { "differs" } else { "differ" }
        ),
    }
}

fn levels(inputs: &[Vec<HeadInput>; 2], [a, b]: [&Maps; 2]) -> anyhow::Result<Vec<Level>> {
    let level =
        |(of_a, of_b): (&HeadInput, &HeadInput)| Level::new(of_a.stride, map(a, &of_a.name)?, map(b, &of_b.name)?);
    inputs[0].iter().zip(&inputs[1]).map(level).collect()
}

fn legend(names: &[String; 2]) -> Vec<(Option<Rgb<u8>>, String)> {
    vec![
        (Some(Rgb(OF_A)), format!("only A: {}", names[0])),
        (Some(Rgb(OF_B)), format!("only B: {}", names[1])),
        (Some(Rgb(MOVED)), "both, in another place or with another confidence (as B has it)".into()),
        (
            None,
            "Maps: the length (L2 norm) of the vector of channels at each position, as a multiple of its mean over the"
                .into(),
        ),
        (None, "image; dark blue is low, yellow high. A and B share a scale.".into()),
    ]
}

fn block(sheet: &mut Sheet, level: &Level) {
    let [a, b] = &level.maps;
    let range = range_of(&[a, b]);
    let (rows, columns) = a.dim();
    let most = level.difference.iter().fold(1e-12f32, |most, value| most.max(*value));
    let title = format!(
        "Stride {}: {columns}x{rows} positions; mean difference {:.3}, correlation {:.3}",
        level.stride,
        level.mean(),
        level.correlation()
    );
    let height = sheet.height;
    let tiles = [
        ("A".to_owned(), coloured(a, range, height)),
        ("B".to_owned(), coloured(b, range, height)),
        (format!("difference, 0 to {most:.2}"), coloured(&level.difference, (0.0, most), height)),
    ];
    sheet.block(&title, &tiles);
}

/// What became of a box.
fn sentence(compared: &Compared, names: &[String]) -> String {
    let class = name_of(compared.class(), names);
    match (compared.change, compared.a, compared.b) {
        (_, Some(a), Some(b)) => {
            let moved = |of: fn(&BoxXyxy) -> f32| (of(&a.bbox) - of(&b.bbox)).abs();
            let most =
                [moved(|b| b.x1), moved(|b| b.y1), moved(|b| b.x2), moved(|b| b.y2)].into_iter().fold(0.0, f32::max);
            format!(
                "{class}: edges moved by up to {most:.1} pixels, confidence {:.2} to {:.2}",
                a.confidence, b.confidence
            )
        }
        (change, a, b) => {
            let confidence = a.or(b).map(|found| found.confidence).unwrap_or_default();
            format!("{class}: {}, confidence {confidence:.2}", change.name())
        }
    }
}
