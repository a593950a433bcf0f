//! From layers to steps: wires, channel derivation and repeats as in the official parser.

use super::arguments::Arguments;
use super::blocks::{self, Widths};
use super::builder::{Builder, Built, make_divisible};
use super::error::ArchitectureError;
use super::head::{self, Head, HeadWidths};
use super::operation::{Convolution, Interpolation, Value};
use super::{Architecture, Layer, Role};
use crate::config::{Activation, ConfigFormat, LayerSpec, ModelConfig, ModuleKind, source_layer};
use crate::dysample::{Definition, DySampleStyle};

pub(super) fn resolve(config: &ModelConfig, widths: &[HeadWidths]) -> Result<Architecture, ArchitectureError> {
    let no_head = |found: String| {
        let reason = format!(
            "the last layer must be a detection head (Detect, DDetect, DualDetect, DualDDetect, TripleDetect or \
             TripleDDetect), found {found}"
        );
        ArchitectureError { config: config.name.clone(), reason }
    };
    let Some((last, body)) = config.layers.split_last() else { return Err(no_head("no layers".into())) };
    if !last.module.is_head() {
        return Err(no_head(last.to_string()));
    }
    if let Some(early) = body.iter().find(|layer| layer.module.is_head()) {
        return Err(no_head(format!("{early} before {last}")));
    }
    let failed = |layer: &LayerSpec, message: String| ArchitectureError::of_layer(&config.name, layer, &message);
    let mut resolver = Resolver { config, builder: Builder::new(config.activation), layers: Vec::new() };
    for layer in body {
        resolver.layer(layer).map_err(|message| failed(layer, message))?;
    }
    let head = resolver.head(last, widths).map_err(|message| failed(last, message))?;
    Ok(Architecture {
        name: config.name.clone(),
        layers: resolver.layers,
        steps: resolver.builder.steps,
        head,
        input_channels: config.input_channels,
        main: Vec::new(),
    })
}

struct Resolver<'a> {
    config: &'a ModelConfig,
    builder: Builder,
    layers: Vec<Layer>,
}

impl Resolver<'_> {
    fn layer(&mut self, layer: &LayerSpec) -> Built<()> {
        self.builder.layer = layer.index;
        let (inputs, outputs) = match layer.module {
            ModuleKind::CbFuse => self.cb_fuse(layer)?,
            ModuleKind::CbLinear => {
                let x = self.single_input(layer)?;
                (vec![x], self.cb_linear(layer, x)?)
            }
            ModuleKind::Concat => {
                let xs = self.maps(layer)?;
                let args = Arguments::new(layer, 1)?;
                if args.integer_or(0, "dimension", 1)? != 1 {
                    return Err("only channels (dimension 1) can be joined".into());
                }
                let joined = self.builder.concat(&xs)?;
                (xs, vec![joined])
            }
            _ => {
                let x = self.single_input(layer)?;
                (vec![x], vec![self.repeated(layer, x)?])
            }
        };
        self.layers.push(Layer { spec: layer.clone(), inputs, outputs, role: Role::Auxiliary });
        Ok(())
    }

    fn head(&mut self, layer: &LayerSpec, widths: &[HeadWidths]) -> Built<Head> {
        self.builder.layer = layer.index;
        let inputs = self.maps(layer)?;
        Arguments::new(layer, 1)?.classes(0, self.config.classes)?;
        let head = head::build(&mut self.builder, &inputs, layer, self.config, widths)?;
        self.layers.push(Layer { spec: layer.clone(), inputs, outputs: Vec::new(), role: Role::Main });
        Ok(head)
    }

    /// The layer that a `from` means, or none for the image.
    fn source(&self, layer: &LayerSpec, from: i64) -> Built<Option<usize>> {
        let index = layer.index as i64;
        if index == 0 && from == -1 {
            return Ok(None);
        }
        let source = source_layer(layer.index, from);
        if (0..index).contains(&source) {
            return Ok(Some(source as usize));
        }
        Err(match index {
            0 => format!("from {from}: the first layer can only read the image (-1)"),
            _ => format!("from {from} means layer {source}; only layers 0 to {} come before", index - 1),
        })
    }

    /// The outputs of the layer that a `from` means.
    fn outputs(&self, layer: &LayerSpec, from: i64) -> Built<Vec<Value>> {
        Ok(match self.source(layer, from)? {
            None => vec![Value { id: 0, channels: self.config.input_channels }],
            Some(source) => self.layers[source].outputs.clone(),
        })
    }

    fn map(&self, layer: &LayerSpec, from: i64) -> Built {
        match self.outputs(layer, from)?.as_slice() {
            [x] => Ok(*x),
            many => Err(format!("from {from} gives {} maps (CBLinear), which only CBFuse can read", many.len())),
        }
    }

    fn maps(&self, layer: &LayerSpec) -> Built<Vec<Value>> {
        layer.from.iter().map(|from| self.map(layer, *from)).collect()
    }

    fn single_input(&self, layer: &LayerSpec) -> Built {
        match layer.from.as_slice() {
            [from] => self.map(layer, *from),
            many => Err(format!("reads one input, found {} in `from`", many.len())),
        }
    }

    /// `depth_multiple` and the sequence of copies that a repeat count asks for.
    fn repeated(&mut self, layer: &LayerSpec, x: Value) -> Built {
        let repeats = match layer.number {
            1 => 1,
            // Python's round: halves go to the even neighbour.
            n => ((n as f64 * self.config.depth_multiple).round_ties_even() as usize).max(1),
        };
        let path = format!("model.{}", layer.index);
        if repeats == 1 {
            return self.module(layer, x, &path);
        }
        if layer.module == ModuleKind::SppCspc {
            return Err("SPPCSPC with a repeat count is not supported".into());
        }
        (0..repeats).try_fold(x, |x, copy| self.module(layer, x, &format!("{path}.{copy}")))
    }

    fn module(&mut self, layer: &LayerSpec, x: Value, path: &str) -> Built {
        let b = &mut self.builder;
        match layer.module {
            ModuleKind::Silence => Ok(x),
            ModuleKind::Conv => self.conv(layer, x, path),
            ModuleKind::AConv => {
                let output = self.output(&Arguments::new(layer, 1)?)?;
                blocks::aconv(&mut self.builder, x, path, output)
            }
            ModuleKind::ADown => {
                let output = self.output(&Arguments::new(layer, 1)?)?;
                blocks::adown(&mut self.builder, x, path, output)
            }
            ModuleKind::Elan1 => {
                let widths = self.widths(&Arguments::new(layer, 3)?)?;
                blocks::elan1(&mut self.builder, x, path, widths)
            }
            ModuleKind::RepNCspElan4 => {
                let args = Arguments::new(layer, 4)?;
                let repeats = args.integer_or(3, "repeats", 1)?;
                let widths = self.widths(&args)?;
                blocks::rep_ncsp_elan4(&mut self.builder, x, path, widths, repeats)
            }
            ModuleKind::SppElan => {
                let args = Arguments::new(layer, 2)?;
                let (output, hidden) = (self.output(&args)?, args.channels(1, "hidden channels")?);
                blocks::spp_elan(&mut self.builder, x, path, output, hidden)
            }
            ModuleKind::SppCspc => {
                let args = Arguments::new(layer, 4)?;
                let output = self.output(&args)?;
                let hidden = (2.0 * output as f64 * args.number_or(3, "expansion", 0.5)?) as usize;
                blocks::spp_cspc(&mut self.builder, x, path, output, hidden)
            }
            ModuleKind::MaxPool => {
                let kernel = Arguments::new(layer, 1)?.integer_or(0, "kernel", 2)?;
                b.max_pool(x, kernel, kernel, 0)
            }
            ModuleKind::Upsample => upsample(b, layer, x),
            ModuleKind::DySample => {
                let definition = dysample(layer, x)?;
                b.dysample(x, path.to_owned(), definition)
            }
            kind => Err(format!("{kind} cannot stand here")),
        }
    }

    /// `Conv [c2, k=1, s=1, p=None, g=1, d=1, act=True]`.
    fn conv(&mut self, layer: &LayerSpec, x: Value, path: &str) -> Built {
        let args = Arguments::new(layer, 7)?;
        let output = self.output(&args)?;
        let kernel = args.integer_or(1, "kernel", 1)?;
        let dilation = args.integer_or(5, "dilation", 1)?;
        let stride = args.integer_or(2, "stride", 1)?;
        let convolution = Convolution {
            padding: args.padding_or(3, (dilation * (kernel - 1)).div_ceil(2))?,
            dilation,
            groups: args.integer_or(4, "groups", 1)?,
            ..Convolution::same(x, path.to_owned(), output, kernel, stride)
        };
        let activation =
            if args.flag_or(6, "activation", true)? { self.config.activation } else { Activation::Identity };
        self.builder.convolution(x, convolution.normalised(activation))
    }

    /// Output channels from the first argument: scaled and rounded up to a multiple of 8.
    ///
    /// The official parser, inherited from YOLOv5, leaves the number alone when it happens to equal
    /// `anchors * (nc + 5)`.
    fn output(&self, args: &Arguments<'_>) -> Built<usize> {
        let channels = args.channels(0, "output channels")?;
        match self.config.format {
            ConfigFormat::Official => {}
            ConfigFormat::Mit => return Ok(channels),
            ConfigFormat::Ultralytics => {
                let most = self.config.max_channels.unwrap_or(usize::MAX);
                return Ok(make_divisible(channels.min(most) as f64 * self.config.width_multiple, 8));
            }
        }
        if channels == self.config.anchors * (self.config.classes + 5) {
            return Ok(channels);
        }
        Ok(make_divisible(channels as f64 * self.config.width_multiple, 8))
    }

    fn widths(&self, args: &Arguments<'_>) -> Built<Widths> {
        Ok(Widths {
            output: self.output(args)?,
            part: args.channels(1, "hidden channels")?,
            process: args.channels(2, "branch channels")?,
        })
    }

    /// `CBLinear [[c, …], k=1, s=1, p=None, g=1]`: a plain convolution whose output is split.
    fn cb_linear(&mut self, layer: &LayerSpec, x: Value) -> Built<Vec<Value>> {
        let args = Arguments::new(layer, 5)?;
        let sizes = args.list(0, "channels of each output", 1)?;
        if sizes.is_empty() {
            return Err("needs at least one output".into());
        }
        let kernel = args.integer_or(1, "kernel", 1)?;
        let (stride, path) = (args.integer_or(2, "stride", 1)?, format!("model.{}.conv", layer.index));
        let output = sizes.iter().fold(0usize, |sum, size| sum.saturating_add(*size));
        let convolution = Convolution {
            padding: args.padding_or(3, kernel / 2)?,
            groups: args.integer_or(4, "groups", 1)?,
            ..Convolution::same(x, path, output, kernel, stride)
        };
        let y = self.builder.convolution(x, convolution)?;
        if sizes.len() == 1 { Ok(vec![y]) } else { self.builder.split(y, &sizes) }
    }

    /// `CBFuse [[index, …]]`: picks one map of each CBLinear, resizes it to the last input, sums all.
    fn cb_fuse(&mut self, layer: &LayerSpec) -> Built<(Vec<Value>, Vec<Value>)> {
        let picks = Arguments::new(layer, 1)?.list(0, "index into each CBLinear", 0)?;
        let Some((target, sources)) = layer.from.split_last() else { return Err("reads no input".into()) };
        if picks.len() != sources.len() {
            return Err(format!("{} indices for {} CBLinear inputs", picks.len(), sources.len()));
        }
        let mut inputs = Vec::with_capacity(layer.from.len());
        for (from, pick) in sources.iter().zip(picks) {
            let maps = self.outputs(layer, *from)?;
            let map =
                maps.get(pick).ok_or_else(|| format!("index {pick} of the {} maps that {from} gives", maps.len()))?;
            inputs.push(*map);
        }
        inputs.push(self.map(layer, *target)?);
        let fused = self.builder.fuse_nearest(&inputs)?;
        Ok((inputs, vec![fused]))
    }
}

/// `nn.Upsample [size, scale_factor, mode]`.
fn upsample(b: &mut Builder, layer: &LayerSpec, x: Value) -> Built {
    let args = Arguments::new(layer, 3)?;
    args.absent(0, "size")?;
    let scale = args.number_or(1, "scale factor", 0.0)?;
    if scale.fract() != 0.0 || !(1.0..=64.0).contains(&scale) {
        return Err(format!("argument 2 (scale factor): expected a whole number of 1 to 64, found {scale}"));
    }
    let modes = [("nearest", Interpolation::Nearest), ("bilinear", Interpolation::Bilinear)];
    b.upsample(x, scale as usize, args.word(2, "mode", &modes)?)
}

/// `DySample [scale=2, style='lp', groups=4, dyscope=False]`; the input channels come from the wire.
fn dysample(layer: &LayerSpec, x: Value) -> Built<Definition> {
    let args = Arguments::new(layer, 4)?;
    let style = args.word(1, "style", &[("lp", DySampleStyle::Lp), ("pl", DySampleStyle::Pl)])?;
    Definition::new(
        x.channels,
        args.integer_or(0, "scale", 2)?,
        style,
        args.integer_or(2, "groups", 4)?,
        args.flag_or(3, "dyscope", false)?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wiring_mistake_names_its_row() {
        for (layer, replacement, message) in [
            (
                "[-1, 1, ADown, [256]]",
                "[-9, 1, ADown, [256]]",
                "layer 3 (ADown), line 9: from -9 means layer -6; only layers 0 to 2 come before",
            ),
            (
                "[-1, 1, Conv, [64, 3, 2]]",
                "[-1, 1, Conv, [0, 3, 2]]",
                "layer 0 (Conv), line 6: argument 1 (output channels): expected a whole number of 1 to 65536, found `0`",
            ),
            (
                "[-1, 1, Conv, [64, 3, 2]]",
                "[-1, 1, Conv, [64, 3, 2, 1, 7]]",
                "layer 0 (Conv), line 6: model.0: 3 input and 64 output channels cannot be split into 7 groups",
            ),
            (
                "[None, 2, 'nearest']",
                "[None, 2, 'nearst']",
                "layer 10 (nn.Upsample), line 18: argument 3 (mode): expected 'nearest' or 'bilinear', found `'nearst'`",
            ),
            (
                "[-1, 1, SPPELAN, [512, 256]]",
                "[-1, 1, SPPELAN, [512]]",
                "layer 9 (SPPELAN), line 17: argument 2 (hidden channels): expected a whole number of 1 to 65536, found nothing",
            ),
            (
                "[[-1, 6], 1, Concat, [1]]",
                "[[-1, 4], 1, Concat, [1]]",
                "layer 11 (Concat), line 19: meets maps of different sizes: 16x16 and 32x32 (for a 256x256 input)",
            ),
            ("[[15, 18, 21], 1, DDetect, [nc]]", "[-1, 1, Conv, [8]]", "the last layer must be a detection head"),
            (
                "[[15, 18, 21], 1, DDetect, [nc]]",
                "[[15, 18, 21], 1, DualDDetect, [nc]]",
                "layer 22 (DualDDetect), line 30: 3 inputs cannot be divided among 2 branches of levels",
            ),
        ] {
            let text = ModelConfig::builtin("gelan-c").unwrap().source.replacen(layer, replacement, 1);
            let config = ModelConfig::from_yaml("x", &text).unwrap();
            let error = Architecture::new(&config).unwrap_err().to_string();
            assert!(error.contains(message), "{error}\n instead of\n{message}");
        }
    }
}
