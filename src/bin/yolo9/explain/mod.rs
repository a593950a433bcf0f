//! `yolo9 explain`: where the DySample modules of a network sample in a picture, and what comes of it.

mod draw;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, Array4, ArrayView4, Axis, s};
use yolo9::Size;
use yolo9::detect::{Prepared, Preset};
use yolo9::dysample::{init_pos, upsample};
use yolo9::embedded;
use yolo9::graph::DySampleValues;
use yolo9::output::{encode_picture, write_atomically};
use yolo9::picture::{Fit, ImageLimits, InputShape, Picture};
use yolo9::runtime::{OrtModel, Runtime};

use crate::Outcome;
use crate::args::{Globals, ModelArgs, RuntimeArgs, parse_size};
use crate::console::{print_line, say};
use crate::model::{self, Loaded};
use crate::overwrite::refuse_all;

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The picture; by default the embedded sample picture.
    #[arg(value_name = "PICTURE")]
    picture: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// Size of the network's input.
    #[arg(long, alias = "img", value_name = "SIZE", value_parser = parse_size, default_value = "640")]
    imgsz: Size,

    /// The picture to draw, PNG or JPEG [default: NAME-explained.png in the working folder].
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file if it exists.
    #[arg(long)]
    exist_ok: bool,
}

/// What one DySample module does to a picture.
struct Explained {
    row: usize,
    scale: usize,
    groups: usize,
    /// Cells across and down.
    cells: (usize, usize),
    /// How far each point lies from where bilinear upsampling would sample, in cells: `[2, groups, scale, scale, H, W]`
    /// flattened to four axes, the middle three as one.
    shifts: Array4<f32>,
    /// The same points relative to the centre of their cell.
    offsets: Array4<f32>,
    /// The same points relative to their mean over all cells: what the picture decides.
    moves: Array4<f32>,
    /// Length of the channel vectors: of the input, of nearest and bilinear upsampling, and of what the module gives.
    input: Array2<f32>,
    nearest: Array2<f32>,
    bilinear: Array2<f32>,
    output: Array2<f32>,
    /// Length of the difference to nearest upsampling.
    difference: Array2<f32>,
}

pub(crate) fn run(args: &ExplainArgs, globals: &Globals) -> anyhow::Result<Outcome> {
    let (name, picture) = match &args.picture {
        Some(path) => {
            let picture = Picture::open(path, &ImageLimits::default());
            (path.clone(), picture.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?)
        }
        None => (embedded::SAMPLE_NAME.into(), Picture::decode(embedded::SAMPLE_PICTURE, &ImageLimits::default())?),
    };
    let (out, format) = output_of(args, &name)?;
    let Loaded::Network(mut network) = model::load(&args.model, globals)? else {
        anyhow::bail!(
            "{}: an exported file has no DySample to look into; give the checkpoint that it was made from",
            args.model.weights
        );
    };
    let values = network.onnx.expose_dysample(&network.architecture);
    anyhow::ensure!(
        !values.is_empty(),
        "{} has no DySample; its upsamplers sample the same points in every picture",
        args.model.weights
    );
    let fit =
        Fit::new(args.imgsz, network.architecture.stride(), InputShape::Rectangular, Preset::default().scale_back());
    let prepared = Prepared::of(&picture, &fit);
    let runtime = Runtime::load(&args.runtime.library(globals))?;
    let mut model = OrtModel::new(&runtime, network.onnx, &args.runtime.session())?;
    let maps = model.run_all(prepared.tensor())?;
    let map = |name: &String| maps.get(name).with_context(|| format!("the network does not give its value {name}"));
    let explained: Vec<Explained> = values
        .iter()
        .map(|values| explain(values, [map(&values.input)?, map(&values.offset)?, map(&values.output)?]))
        .collect::<anyhow::Result<_>>()?;
    for module in &explained {
        print_line!("{}", module.sentence(prepared.size()));
    }
    let sheet = draw::sheet(&input_picture(prepared.tensor()), &explained);
    write_atomically(&out, &encode_picture(&sheet, format)?)?;
    if !globals.quiet {
        say!("Drawn: {}", out.display());
    }
    Ok(Outcome::Done)
}

fn output_of(args: &ExplainArgs, name: &Path) -> anyhow::Result<(PathBuf, ImageFormat)> {
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    let out = args.out.clone().unwrap_or_else(|| format!("{stem}-explained.png").into());
    let format = ImageFormat::from_path(&out).ok().filter(|f| [ImageFormat::Png, ImageFormat::Jpeg].contains(f));
    let format = format.with_context(|| format!("--out {}: expected a .png or .jpg file", out.display()))?;
    anyhow::ensure!(
        args.exist_ok || !out.exists(),
        "{} exists; choose another name with --out, or replace it with --exist-ok",
        out.display()
    );
    let inputs: Vec<PathBuf> = args.model.files().into_iter().chain(args.picture.clone()).collect();
    refuse_all(&inputs, &[("--out", Some(&out))], None, args.exist_ok)?;
    Ok((out, format))
}

/// What the network reads, as a picture.
fn input_picture(tensor: ArrayView4<'_, f32>) -> RgbImage {
    let (_, _, height, width) = tensor.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let level = |channel| (tensor[[0, channel, y as usize, x as usize]] * 255.0).round() as u8;
        image::Rgb([level(0), level(1), level(2)])
    })
}

fn explain(values: &DySampleValues, [input, offset, output]: [&Array4<f32>; 3]) -> anyhow::Result<Explained> {
    let definition = &values.definition;
    let (scale, groups) = (definition.scale, definition.groups);
    let (_, channels, rows, columns) = offset.dim();
    let bilinear_points = Array4::from_shape_vec((1, channels, 1, 1), init_pos(definition))
        .context("the offsets have another number of channels than the config says")?;
    let points = |constant: &Array4<f32>| {
        constant.broadcast((1, channels, rows, columns)).map(|view| view.to_owned()).context("offsets of one picture")
    };
    let centres = Array4::zeros((1, channels, 1, 1));
    let nearest = upsample(input.view(), points(&centres)?.view(), scale, groups)?;
    let bilinear = upsample(input.view(), points(&bilinear_points)?.view(), scale, groups)?;
    let by_component = |array: Array4<f32>| {
        array.into_shape_with_order((2, groups * scale * scale, rows, columns)).context("two components of each offset")
    };
    let offsets = by_component(offset.clone())?;
    let sums = offsets.sum_axis(Axis(3)).sum_axis(Axis(2));
    let mean = (sums / (rows * columns).max(1) as f32).insert_axis(Axis(2)).insert_axis(Axis(3));
    Ok(Explained {
        row: values.row,
        scale,
        groups,
        cells: (columns, rows),
        shifts: by_component(offset - &bilinear_points)?,
        moves: &offsets - &mean,
        offsets,
        input: lengths(input),
        difference: lengths(&(output - &nearest)),
        nearest: lengths(&nearest),
        bilinear: lengths(&bilinear),
        output: lengths(output),
    })
}

/// Length of the vector of channels at each place.
fn lengths(map: &Array4<f32>) -> Array2<f32> {
    map.index_axis(Axis(0), 0).map(|value| value * value).sum_axis(Axis(0)).map(|sum| sum.sqrt())
}

impl Explained {
    /// Mean length of the shifts, in cells.
    fn mean_shift(&self) -> f32 {
        let (x, y) = (self.shifts.index_axis(Axis(0), 0), self.shifts.index_axis(Axis(0), 1));
        let lengths = x.iter().zip(y).map(|(x, y)| x.hypot(*y));
        lengths.sum::<f32>() / x.len().max(1) as f32
    }

    /// How much points move about their mean over the picture, in cells: 0 for a fixed upsampler.
    fn variation(&self) -> f32 {
        let spread = |channel: ndarray::ArrayView2<'_, f32>| channel.std(0.0);
        let (components, channels, ..) = self.offsets.dim();
        let each = (0..components).flat_map(|c| (0..channels).map(move |n| (c, n)));
        let total: f32 = each.map(|(c, n)| spread(self.offsets.slice(s![c, n, .., ..]))).sum();
        total / (components * channels).max(1) as f32
    }

    fn sentence(&self, input: Size) -> String {
        let (columns, rows) = self.cells;
        let pixels = input.width as f32 / columns as f32;
        let shift = self.mean_shift();
        let how = if columns * rows > 1 && self.variation() < 1e-6 {
            " (it is not dynamic: the same points in every cell)"
        } else {
            ""
        };
        format!(
            "row {}: {columns}x{rows} to {}x{} cells, {} groups; points lie {shift:.3} cells ({:.1} pixels of the input) from \
             those of bilinear upsampling, and vary by {:.3} cells over the picture{how}",
            self.row,
            columns * self.scale,
            rows * self.scale,
            self.groups,
            shift * pixels,
            self.variation()
        )
    }
}
