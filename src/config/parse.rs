//! From the YAML tree to [`ModelConfig`].

use serde_saphyr::Spanned;

use super::document::{Document, argument};
use super::yaml::{self, YamlNode};
use super::{
    Activation, Argument, ConfigError, ConfigFormat, LayerSpec, ModelConfig, ModuleKind, did_you_mean, mit,
    nearest_name,
};
use crate::untrusted::printable;

const KEYS: &[&str] = &[
    "nc",
    "depth_multiple",
    "width_multiple",
    "anchors",
    "activation",
    "ch",
    "channels",
    "scales",
    "scale",
    "format",
    "backbone",
    "head",
];

/// Keys that other tools write, without meaning for the network.
const IGNORED: &[&str] = &["inplace", "yaml_file", "names", "task", "nm", "npr"];

pub(super) fn parse(name: &str, text: &str) -> Result<ModelConfig, ConfigError> {
    let root = yaml::parse(text).map_err(|message| ConfigError::Syntax { name: name.into(), message })?;
    let YamlNode::Map(entries) = root else {
        let message = format!("expected a map with the keys `nc`, `backbone` and `head`, found {}", root.describe());
        return Err(ConfigError::Syntax { name: name.into(), message });
    };
    if mit::looks_like(&entries) {
        return mit::parse(&Document { name, entries: &entries }, text);
    }
    let document = Document { name, entries: &entries };
    document.warn_of_unknown_keys();

    let classes = document.count("nc")?.ok_or_else(|| document.missing("nc"))?;
    let backbone = document.list("backbone")?;
    let head = document.list("head")?;
    let mut layers = Vec::with_capacity(backbone.len() + head.len());
    for node in backbone.iter().chain(head) {
        layers.push(document.layer(layers.len(), node)?);
    }
    let (depth_multiple, width_multiple, max_channels) = document.scale()?;
    Ok(ModelConfig {
        name: name.into(),
        format: document.format(&layers)?,
        classes,
        depth_multiple,
        width_multiple,
        max_channels,
        anchors: document.anchors()?,
        activation: document.activation()?,
        input_channels: document.count("ch")?.or(document.count("channels")?).unwrap_or(3),
        layers,
        source: text.into(),
    })
}

impl Document<'_> {
    /// Keys of other tools are harmless; a misspelt key of ours would be a default in silence.
    fn warn_of_unknown_keys(&self) {
        for (key, value) in self.entries {
            if KEYS.contains(&key.as_str()) || IGNORED.contains(&key.as_str()) {
                continue;
            }
            let hint = did_you_mean(nearest_name(key, KEYS.iter().copied()));
            let line = value.referenced.line();
            let key = printable(key);
            log::warn!("config {}, line {line}: key `{key}` is not known and is ignored{hint}", self.name);
        }
    }

    fn missing(&self, key: &'static str) -> ConfigError {
        let unknown = self.entries.iter().map(|(k, _)| k.as_str()).filter(|k| !KEYS.contains(k));
        ConfigError::MissingKey { name: self.name.into(), key, hint: nearest_name(key, unknown).map(str::to_owned) }
    }

    fn count(&self, key: &'static str) -> Result<Option<usize>, ConfigError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.value {
            YamlNode::Int(value @ 1..=100_000) => Ok(Some(value as usize)),
            _ => Err(self.wrong(node, format!("`{key}`"), "a whole number of 1 to 100000")),
        }
    }

    fn number(&self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.value {
            YamlNode::Int(value @ 1..=64) => Ok(Some(value as f64)),
            YamlNode::Float(value) if value > 0.0 && value <= 64.0 => Ok(Some(value)),
            _ => Err(self.wrong(node, format!("`{key}`"), "a number above 0, at most 64")),
        }
    }

    /// The key `format` that yolo9 writes. Without it: the official format always has `anchors`, which YOLOv9 does not
    /// need; that of Ultralytics ends in a plain `Detect` and has none.
    fn format(&self, layers: &[LayerSpec]) -> Result<ConfigFormat, ConfigError> {
        if let Some(node) = self.get("format") {
            let YamlNode::Text(text) = &node.value else {
                return Err(self.wrong(node, "`format`", ConfigFormat::WORDS));
            };
            return ConfigFormat::from_word(text).ok_or_else(|| self.wrong(node, "`format`", ConfigFormat::WORDS));
        }
        let plain = layers.last().is_some_and(|layer| layer.module == ModuleKind::Detect);
        let ultralytics = plain && self.get("anchors").is_none();
        Ok(if ultralytics { ConfigFormat::Ultralytics } else { ConfigFormat::Official })
    }

    /// Factors on repeat counts and widths, and the most channels: `depth_multiple` and `width_multiple`, or the entry of `scales` (`n: [depth, width, most channels]`) that `scale`
    /// names; without a name the first one, as Ultralytics does.
    fn scale(&self) -> Result<(f64, f64, Option<usize>), ConfigError> {
        let Some(scales) = self.get("scales") else {
            let number = |key| self.number(key).map(|number| number.unwrap_or(1.0));
            return Ok((number("depth_multiple")?, number("width_multiple")?, None));
        };
        let wrong = |node: &Spanned<YamlNode>| {
            self.wrong(node, "`scales`", "a map from a name to [depth, width, most channels]")
        };
        let YamlNode::Map(entries) = &scales.value else { return Err(wrong(scales)) };
        let wanted = match self.get("scale").map(|node| &node.value) {
            Some(YamlNode::Text(name)) if !name.is_empty() => entries.iter().find(|(known, _)| known == name),
            _ => entries.first(),
        };
        let (_, entry) = wanted.ok_or_else(|| wrong(scales))?;
        let YamlNode::List(numbers) = &entry.value else { return Err(wrong(entry)) };
        let number = |node: &Spanned<YamlNode>| match node.value {
            YamlNode::Int(value @ 1..=65_536) => Ok(value as f64),
            YamlNode::Float(value) if value > 0.0 && value <= 65_536.0 => Ok(value),
            _ => Err(wrong(node)),
        };
        match numbers.as_slice() {
            [depth, width, most] => Ok((number(depth)?, number(width)?, Some((number(most)? as usize).max(1)))),
            _ => Err(wrong(entry)),
        }
    }

    fn list(&self, key: &'static str) -> Result<&[Spanned<YamlNode>], ConfigError> {
        let node = self.get(key).ok_or_else(|| self.missing(key))?;
        match &node.value {
            YamlNode::List(items) if !items.is_empty() => Ok(items),
            _ => Err(self.wrong(node, format!("`{key}`"), "a list of layers [from, number, module, args]")),
        }
    }

    /// `anchors: 3`, or a list of per-level lists of width-height pairs.
    fn anchors(&self) -> Result<usize, ConfigError> {
        let Some(node) = self.get("anchors") else { return Ok(3) };
        match &node.value {
            YamlNode::Int(value @ 1..=1000) => Ok(*value as usize),
            YamlNode::List(levels) => match levels.first().map(|level| &level.value) {
                Some(YamlNode::List(pairs)) => Ok(pairs.len() / 2),
                _ => Err(self.wrong(node, "`anchors`", "a number or a list of lists")),
            },
            _ => Err(self.wrong(node, "`anchors`", "a number or a list of lists")),
        }
    }

    fn activation(&self) -> Result<Activation, ConfigError> {
        let Some(node) = self.get("activation") else { return Ok(Activation::Silu) };
        let activation = match &node.value {
            YamlNode::Null => Some(Activation::Silu),
            YamlNode::Text(text) => Activation::from_yaml(text),
            _ => None,
        };
        let expected = "nn.SiLU(), nn.ReLU(), nn.LeakyReLU(slope) or nn.Identity()";
        activation.ok_or_else(|| self.wrong(node, "`activation`", expected))
    }

    fn layer(&self, index: usize, node: &Spanned<YamlNode>) -> Result<LayerSpec, ConfigError> {
        let YamlNode::List(items) = &node.value else {
            return Err(self.wrong(node, format!("layer {index}"), "[from, number, module, args]"));
        };
        let [from, number, module, args] = items.as_slice() else {
            return Err(self.wrong(node, format!("layer {index}"), "the four items [from, number, module, args]"));
        };
        let number = match number.value {
            YamlNode::Int(value @ 1..=1000) => value as usize,
            _ => return Err(self.wrong(number, format!("layer {index}: number"), "a whole number of 1 to 1000")),
        };
        Ok(LayerSpec {
            index,
            line: Some(node.referenced.line()).filter(|line| *line > 0),
            from: self.from(index, from)?,
            number,
            module: self.module(index, module)?,
            args: self.args(index, args)?,
        })
    }

    fn from(&self, index: usize, node: &Spanned<YamlNode>) -> Result<Vec<i64>, ConfigError> {
        let wrong = || self.wrong(node, format!("layer {index}: from"), "a whole number or a list of them");
        match &node.value {
            YamlNode::Int(value) => Ok(vec![*value]),
            YamlNode::List(items) if !items.is_empty() => items
                .iter()
                .map(|item| match item.value {
                    YamlNode::Int(value) => Ok(value),
                    _ => Err(wrong()),
                })
                .collect(),
            _ => Err(wrong()),
        }
    }

    fn module(&self, index: usize, node: &Spanned<YamlNode>) -> Result<ModuleKind, ConfigError> {
        let YamlNode::Text(module) = &node.value else {
            return Err(self.wrong(node, format!("layer {index}: module"), "a module's name"));
        };
        ModuleKind::from_name(module)
            .ok_or_else(|| self.unknown_module(node, index, module, ModuleKind::nearest(module)))
    }

    fn args(&self, index: usize, node: &Spanned<YamlNode>) -> Result<Vec<Argument>, ConfigError> {
        match &node.value {
            YamlNode::List(items) => items
                .iter()
                .map(argument)
                .collect::<Result<_, _>>()
                .map_err(|node| self.wrong(node, format!("layer {index}: argument"), "a plain value or a list")),
            _ => Err(self.wrong(node, format!("layer {index}: args"), "a list")),
        }
    }
}

impl Activation {
    /// `nn.ReLU()`, `nn.LeakyReLU(0.1)` and so on. Parsed, never evaluated.
    pub(crate) fn from_yaml(text: &str) -> Option<Self> {
        let text = text.trim();
        let call = text.strip_prefix("torch.").unwrap_or(text).strip_prefix("nn.")?;
        let (name, arguments) = call.strip_suffix(')')?.split_once('(')?;
        let arguments = arguments.trim();
        match name {
            "SiLU" => Some(Activation::Silu),
            "ReLU" => Some(Activation::Relu),
            "Identity" => Some(Activation::Identity),
            "LeakyReLU" if arguments.is_empty() => Some(Activation::LeakyRelu(0.01)),
            "LeakyReLU" => {
                let first = arguments.split(',').next()?.trim();
                let slope: f32 = first.strip_prefix("negative_slope=").unwrap_or(first).parse().ok()?;
                f32::is_finite(slope).then_some(Activation::LeakyRelu(slope))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "\
# parameters
nc: 3  # number of classes
depth_multiple: 1.
anchors: 3
activation: nn.LeakyReLU(0.1)
backbone:
  [
   [-1, 1, Conv, [16, 3, 2]],  # 0
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
  ]
head:
  [[[-1, 0], 1, Concat, [1]], [[1, 2], 1, DDetect, [nc]]]
";

    #[test]
    fn the_official_format_is_read() {
        let config = ModelConfig::from_yaml("small", SMALL).unwrap();
        assert_eq!((config.classes, config.depth_multiple, config.anchors), (3, 1.0, 3));
        assert_eq!(config.activation, Activation::LeakyRelu(0.1));
        assert_eq!(config.layers.len(), 4);
        let upsample = &config.layers[1];
        assert_eq!((upsample.module, upsample.line), (ModuleKind::Upsample, Some(9)));
        assert_eq!(upsample.args, [Argument::None, Argument::Int(2), Argument::Text("nearest".into())]);
        assert_eq!(config.layers[2].from, [-1, 0]);
        assert_eq!(config.layers[3].args, [Argument::Classes]);
    }

    #[test]
    fn the_format_of_ultralytics_is_read() {
        let text = "nc: 2\nscales:\n  n: [0.33, 0.25, 1024]\n  s: [0.5, 0.5, 512]\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n";
        let first = ModelConfig::from_yaml("x", text).unwrap();
        assert_eq!(
            (first.format, first.activation, first.width_multiple, first.max_channels),
            (ConfigFormat::Ultralytics, Activation::Silu, 0.25, Some(1024))
        );
        let named = ModelConfig::from_yaml("x", &format!("scale: s\n{text}")).unwrap();
        assert_eq!((named.depth_multiple, named.width_multiple, named.max_channels), (0.5, 0.5, Some(512)));
        let error = ModelConfig::from_yaml("x", &format!("scale: q\n{text}")).unwrap_err().to_string();
        assert!(error.contains("`scales`: expected a map from a name to"), "{error}");
        // yolov7-af of the official repository ends in `Detect` too.
        let official = ModelConfig::from_yaml("x", &format!("anchors: 3\n{text}")).unwrap();
        assert_eq!(official.format, ConfigFormat::Official);
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        struct Case {
            replace: (&'static str, &'static str),
            message: &'static str,
        }
        for case in [
            Case {
                replace: ("nc: 3", "nc: three"),
                message: "config x, line 2: `nc`: expected a whole number of 1 to 100000, found the text `three`",
            },
            Case { replace: ("nc: 3", "cn: 3"), message: "config x: key `nc` is missing; did you mean that by `cn`?" },
            Case {
                replace: ("backbone", "bakbone"),
                message: "config x: key `backbone` is missing; did you mean that by `bakbone`?",
            },
            Case {
                replace: ("[-1, 1, Conv, [16, 3, 2]]", "[-1, Conv, [16, 3, 2]]"),
                message: "config x, line 8: layer 0: expected the four items [from, number, module, args], found a list of 3",
            },
            Case {
                replace: ("nn.LeakyReLU(0.1)", "__import__('os').system('id')"),
                message: "config x, line 5: `activation`: expected nn.SiLU(), nn.ReLU(), nn.LeakyReLU(slope) or nn.Identity(), found the text `__import__('os').system('id')`",
            },
            Case {
                replace: ("[-1, 0], 1, Concat", "[-1, x], 1, Concat"),
                message: "config x, line 12: layer 2: from: expected a whole number or a list of them, found a list of 2",
            },
        ] {
            let text = SMALL.replace(case.replace.0, case.replace.1);
            assert_eq!(ModelConfig::from_yaml("x", &text).unwrap_err().to_string(), case.message);
        }
    }

    #[test]
    fn text_that_is_not_yaml_says_where() {
        let error = ModelConfig::from_yaml("x", "nc: [1, 2\nbackbone: ]").unwrap_err().to_string();
        assert!(error.starts_with("config x: not valid YAML") && error.contains("line"), "{error}");
    }
}
