//! `yolo9 explain`: where the DySample modules of a network sample in an image, and what comes of it.

mod draw;

use std::path::{Path, PathBuf};

use anyhow::Context;
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, Array4, ArrayView4, Axis, s};
use yolo9::Size;
use yolo9::detect::Prepared;
use yolo9::dysample::{init_pos, upsample};
use yolo9::graph::DySampleValues;
use yolo9::model::ModelContent;
use yolo9::output::{encode_image, write_atomically};
use yolo9::runtime::OrtBackend;

use crate::cli::{ExplainArgs, Globals};
use crate::console::{print_line, say};
use crate::exit::ExitStatus;
use crate::overwrite::refuse_all;
use crate::run::sources::Source;
use crate::{devices, model, options};

/// What one DySample module does to an image.
struct Explained {
    layer: usize,
    scale: usize,
    groups: usize,
    /// Positions across and down.
    positions: (usize, usize),
    /// How far each point lies from where bilinear upsampling would sample, in positions: `[2, groups, scale, scale, H, W]`
    /// flattened to four axes, the middle three as one.
    shifts: Array4<f32>,
    /// The same points relative to the centre of their position.
    offsets: Array4<f32>,
    /// The same points relative to their mean over all positions: what the image decides.
    moves: Array4<f32>,
    /// Length of the channel vectors: of the input, of nearest and bilinear upsampling, and of what the module gives.
    input: Array2<f32>,
    nearest: Array2<f32>,
    bilinear: Array2<f32>,
    output: Array2<f32>,
    /// Length of the difference to nearest upsampling.
    difference: Array2<f32>,
}

pub(crate) fn run(args: &ExplainArgs, globals: &Globals) -> anyhow::Result<ExitStatus> {
    let source = args.image.clone().map_or_else(Source::sample, Source::of_file);
    let image = source.open(&options::image_limits(&args.input, 1));
    let image = image.map_err(|failure| anyhow::anyhow!("{}: {}", source.name(), failure.reason))?;
    let (out, format) = output_of(args, Path::new(&source.name()))?;
    let opened = model::load(&args.model, globals)?;
    let letterbox = options::letterbox(&args.input, &opened)?;
    let ModelContent::Network(mut network) = opened.into_content() else {
        anyhow::bail!(
            "{}: an exported file has no DySample to look into; give the checkpoint that it was made from",
            args.model.weights
        );
    };
    let values = network.onnx.expose_dysample(&network.architecture);
    anyhow::ensure!(
        !values.is_empty(),
        "{} has no DySample; its upsamplers sample the same points in every image",
        args.model.weights
    );
    let prepared = Prepared::new(&image.pixels, &letterbox);
    let runtime = devices::runtime(&args.runtime, globals)?;
    let mut model = OrtBackend::new(&runtime, network.onnx, &options::session(&args.runtime))?;
    let maps = model.run_all(prepared.tensor())?;
    let map = |name: &String| maps.get(name).with_context(|| format!("the network does not give its value {name}"));
    let explained: Vec<Explained> = values
        .iter()
        .map(|values| explain(values, [map(&values.input)?, map(&values.offset)?, map(&values.output)?]))
        .collect::<anyhow::Result<_>>()?;
    for module in &explained {
        print_line!("{}", module.sentence(prepared.size()));
    }
    let sheet = draw::sheet(&input_image(prepared.tensor()), &explained);
    write_atomically(&out, &encode_image(&sheet, format)?)?;
    if !globals.quiet {
        say!("Drawn: {}", out.display());
    }
    Ok(ExitStatus::Done)
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
    let inputs: Vec<PathBuf> = args.model.files().into_iter().chain(args.image.clone()).collect();
    refuse_all(&inputs, &[("--out", Some(&out))], None, args.exist_ok)?;
    Ok((out, format))
}

/// What the network reads, as an image.
fn input_image(tensor: ArrayView4<'_, f32>) -> RgbImage {
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
        constant.broadcast((1, channels, rows, columns)).map(|view| view.to_owned()).context("offsets of one image")
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
        layer: values.layer,
        scale,
        groups,
        positions: (columns, rows),
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
    /// Mean length of the shifts, in positions.
    fn mean_shift(&self) -> f32 {
        let (x, y) = (self.shifts.index_axis(Axis(0), 0), self.shifts.index_axis(Axis(0), 1));
        let lengths = x.iter().zip(y).map(|(x, y)| x.hypot(*y));
        lengths.sum::<f32>() / x.len().max(1) as f32
    }

    /// How much points move about their mean over the image, in positions: 0 for a fixed upsampler.
    fn variation(&self) -> f32 {
        let spread = |channel: ndarray::ArrayView2<'_, f32>| channel.std(0.0);
        let (components, channels, ..) = self.offsets.dim();
        let each = (0..components).flat_map(|c| (0..channels).map(move |n| (c, n)));
        let total: f32 = each.map(|(c, n)| spread(self.offsets.slice(s![c, n, .., ..]))).sum();
        total / (components * channels).max(1) as f32
    }

    fn sentence(&self, input: Size) -> String {
        let (columns, rows) = self.positions;
        let pixels = input.width as f32 / columns as f32;
        let shift = self.mean_shift();
        let how = if columns * rows > 1 && self.variation() < 1e-6 {
            " (it is not dynamic: the same points at every position)"
        } else {
            ""
        };
        format!(
            "layer {}: {columns}x{rows} to {}x{} positions, {} groups; points lie {shift:.3} positions ({:.1} pixels of the input) from \
             those of bilinear upsampling, and vary by {:.3} positions over the image{how}",
            self.layer,
            columns * self.scale,
            rows * self.scale,
            self.groups,
            shift * pixels,
            self.variation()
        )
    }
}
