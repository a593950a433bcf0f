//! Parameters and floating point operations.

use super::head::REG_MAX;
use super::operation::{Convolution, DySampleLayer, Interpolation, Operation, Step};
use super::{Architecture, ArchitectureError, Role};
use crate::Size;
use crate::dysample::DySampleStyle;

/// What a network costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Learned parameters, the 16 constants of each DFL included as the official counts do.
    pub parameters: u64,
    /// Floating point operations for one image as the official code counts them (by the package thop): two for each
    /// multiply-accumulate of a convolution, eight for each value that a batch normalisation gives, two for each that
    /// nearest upsampling gives (22 if bilinear). Activations, pools and sums are not counted, nor is the sampling step
    /// of DySample.
    pub flops: u64,
}

impl Cost {
    /// Billions of floating point operations.
    #[must_use]
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / 1e9
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.parameters = self.parameters.saturating_add(other.parameters);
        self.flops = self.flops.saturating_add(other.flops);
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |mut sum, cost| {
            sum += cost;
            sum
        })
    }
}

/// Which form of a network is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As training stores it.
    Training,
    /// Normalisation folded, parallel convolutions merged; auxiliary branches still there.
    Fused,
    /// What inference runs: fused, without auxiliary branches.
    Deployed,
}

impl Architecture {
    /// The cost of the network.
    ///
    /// # Errors
    /// When `input` is not a multiple of the stride and maps of different sizes meet.
    pub fn cost(&self, input: Size, form: Form) -> Result<Cost, ArchitectureError> {
        Ok(self.layer_costs(input, form)?.into_iter().sum())
    }

    /// The cost of each layer.
    pub(super) fn layer_costs(&self, input: Size, form: Form) -> Result<Vec<Cost>, ArchitectureError> {
        let sizes = self.sizes(input)?;
        let area = |step: &Step| step.outputs.first().map_or(0, |value| sizes[value.id].area());
        let mut costs = vec![Cost::default(); self.layers.len()];
        for (step, main) in self.steps.iter().zip(&self.main) {
            if *main || form != Form::Deployed {
                costs[step.layer] += cost(step, area(step), form);
            }
        }
        for branch in self.head.branches.iter().filter(|b| form != Form::Deployed || b.role == Role::Main) {
            let areas = branch.levels.iter().map(|level| sizes[level.boxes.id].area());
            let anchors = areas.fold(0u64, u64::saturating_add);
            let bins = REG_MAX as u64;
            costs[self.head.layer] += Cost { parameters: bins, flops: (8 * bins).saturating_mul(anchors) };
        }
        Ok(costs)
    }

    /// Number of layers that only training needs.
    #[must_use]
    pub fn auxiliary_layers(&self) -> usize {
        self.layers.iter().filter(|layer| layer.role == Role::Auxiliary).count()
    }
}

/// The cost of a step whose outputs have `area` values per channel.
fn cost(step: &Step, area: u64, form: Form) -> Cost {
    match &step.operation {
        Operation::Convolution(c) => convolution(c, area, form),
        Operation::RepConvolution(rep) if form == Form::Training => {
            [&rep.large, &rep.small].into_iter().map(|branch| convolution(branch, area, form)).sum()
        }
        Operation::RepConvolution(rep) => convolution(&rep.merged(), area, form),
        Operation::DySample(layer) => dysample(layer, area),
        Operation::Upsample { interpolation, .. } => {
            let values = step
                .outputs
                .iter()
                .fold(0u64, |sum, value| sum.saturating_add((value.channels as u64).saturating_mul(area)));
            let each = match interpolation {
                Interpolation::Nearest => 2,
                Interpolation::Bilinear => 22,
            };
            Cost { parameters: 0, flops: values.saturating_mul(each) }
        }
        // Not counted by the tool whose figures the papers give.
        Operation::AveragePool { .. }
        | Operation::MaxPool { .. }
        | Operation::Split(_)
        | Operation::Concat
        | Operation::Add
        | Operation::FuseNearest => Cost::default(),
    }
}

fn convolution(convolution: &Convolution, area: u64, form: Form) -> Cost {
    let weights: u64 = convolution.weight_shape().iter().map(|n| *n as u64).product();
    let output = convolution.output as u64;
    // Scale and shift of a normalisation, or the bias that it becomes.
    let unfolded = convolution.normalised && form == Form::Training;
    let (extra, normalisation) = if unfolded { (2 * output, (8 * output).saturating_mul(area)) } else { (output, 0) };
    let flops = (2 * weights).saturating_mul(area).saturating_add(normalisation);
    Cost { parameters: weights + extra, flops }
}

fn dysample(layer: &DySampleLayer, area: u64) -> Cost {
    let definition = &layer.definition;
    let [output, input, ..] = definition.stored_weight_shape().map(|n| n as u64);
    let convolutions = if definition.dyscope { 2 } else { 1 };
    // DySampleStyle pl convolves at the high resolution, lp at the low one; s² fewer weights make up for it.
    let low_area = area / (definition.scale * definition.scale) as u64;
    let conv_area = if definition.style == DySampleStyle::Pl { area } else { low_area };
    let weights = convolutions * output * input;
    Cost { parameters: weights + output, flops: (2 * weights).saturating_mul(conv_area) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFormat, ModelConfig};

    fn architecture(name: &str) -> Architecture {
        // Two official files that are not built in: plain strided convolutions in the place of ADown, and a third head.
        let plain = |name: &str| {
            let config = ModelConfig::builtin(name).unwrap();
            let strided = |channels: usize| (format!("ADown, [{channels}]"), format!("Conv, [{channels}, 3, 2]"));
            let text =
                [256, 512].map(strided).iter().fold(config.source, |text, (adown, conv)| text.replace(adown, conv));
            ModelConfig::from_yaml(name, &text).unwrap()
        };
        let config = match name {
            "gelan" => plain("gelan-c"),
            "yolov9" => plain("yolov9-c"),
            "yolov9-cf" => {
                let mut config = ModelConfig::builtin("yolov9-c").unwrap();
                let head = config.layers.last_mut().unwrap();
                head.module = crate::config::ModuleKind::TripleDDetect;
                head.from.extend_from_within(3..);
                config
            }
            _ => ModelConfig::builtin(name).unwrap(),
        };
        Architecture::new(&config).unwrap()
    }

    /// As the official code prints them.
    fn printed(cost: Cost) -> (u64, String) {
        (cost.parameters, format!("{:.1}", cost.gflops()))
    }

    /// Parameters and GFLOPs that the official code printed for its models (80 classes, 640x640), unfused and fused with
    /// the auxiliary branch still there.
    #[test]
    fn costs_equal_the_official_ones() {
        for (name, training, fused) in [
            ("gelan-t", (2_442_640, "10.1"), (2_407_632, "9.8")),
            ("gelan-s", (7_226_208, "27.0"), (7_105_888, "26.4")),
            ("gelan-m", (20_124_000, "77.4"), (19_978_672, "76.3")),
            ("gelan-c", (25_498_752, "103.5"), (25_288_768, "102.1")),
            ("gelan-e", (58_114_432, "192.5"), (57_345_920, "189.0")),
            ("gelan", (31_462_528, "118.5"), (31_252_544, "117.1")),
            ("yolov9-t", (3_717_680, "16.5"), (3_674_576, "16.2")),
            ("yolov9-s", (9_804_512, "39.9"), (9_659_168, "39.1")),
            ("yolov9-m", (32_878_432, "133.0"), (32_667_400, "131.3")),
            ("yolov9-c", (51_182_080, "239.9"), (50_880_768, "237.6")),
            ("yolov9-cf", (56_734_400, "265.7"), (56_431_168, "263.4")),
            ("yolov9-e", (69_529_664, "245.5"), (68_669_632, "241.4")),
            ("yolov9", (60_979_712, "267.1"), (60_678_400, "264.9")),
        ] {
            let architecture = architecture(name);
            let cost = |form| printed(architecture.cost(Size::square(640), form).unwrap());
            let expected = |(parameters, gflops): (u64, &str)| (parameters, gflops.to_owned());
            assert_eq!(cost(Form::Training), expected(training), "{name}");
            assert_eq!(cost(Form::Fused), expected(fused), "{name}, fused");
        }
    }

    /// Without its auxiliary branch, a YOLOv9 is the GELAN of its size.
    #[test]
    fn deployed_networks_cost_what_their_gelan_does() {
        for size in ["t", "s", "m", "c", "e"] {
            let cost = |family, form| architecture(&format!("{family}-{size}")).cost(Size::square(640), form).unwrap();
            assert_eq!(cost("yolov9", Form::Deployed), cost("gelan", Form::Fused));
        }
    }

    /// Parameters that Ultralytics' code has in the same networks with its own head, unfused and fused.
    #[test]
    fn parameters_of_the_format_of_ultralytics_equal_its_own() {
        for (size, training, fused) in [
            ("t", 2_128_720, 2_094_000),
            ("s", 7_318_368, 7_198_048),
            ("m", 20_216_160, 20_070_832),
            ("c", 25_590_912, 25_380_928),
            ("e", 58_206_592, 57_438_080),
        ] {
            let official = ModelConfig::builtin(&format!("gelan-{size}")).unwrap().source;
            let text = official.replace("DDetect", "Detect").replace("anchors", "# anchors");
            let config = ModelConfig::from_yaml(size, &text).unwrap();
            assert_eq!(config.format, ConfigFormat::Ultralytics);
            let architecture = Architecture::new(&config).unwrap();
            let count = |form| architecture.cost(Size::square(640), form).unwrap().parameters;
            assert_eq!((count(Form::Training), count(Form::Fused)), (training, fused), "{size}");
        }
    }
}
