//! The config format of MIT YOLO (MultimediaTechLab/YOLO): ordered sections of single-key maps,
//! `- Module: {args: {…}, source: …, tags: …}`, mapped onto layers of the official format.
//!
//! Layers are numbered from 1; 0 is the image. The detection heads stand in the middle (`detection`) and at the end
//! (`auxiliary`); here they become one head behind all other layers, auxiliary levels first. Where a layer other than the
//! first reads the image, a `Silence` layer is put before everything, as the official files have it. The checkpoint
//! reader renames tensors by the same rules (`checkpoint/mit.rs`).

use std::collections::HashMap;

use serde_saphyr::Spanned;

use super::document::{Document, argument};
use super::yaml::YamlNode;
use super::{Activation, Argument, ConfigError, ConfigFormat, LayerSpec, ModelConfig, ModuleKind, nearest_name};

/// The number of classes is not in the file; the weights know it.
const DEFAULT_CLASSES: usize = 80;

/// Names of modules and of their arguments in the order of the official ones.
const MODULES: &[(&str, ModuleKind, &[&str])] = &[
    ("Conv", ModuleKind::Conv, &["out_channels", "kernel_size", "stride"]),
    ("AConv", ModuleKind::AConv, &["out_channels"]),
    ("ADown", ModuleKind::ADown, &["out_channels"]),
    ("ELAN", ModuleKind::Elan1, &["out_channels", "part_channels", "process_channels"]),
    (
        "RepNCSPELAN",
        ModuleKind::RepNCspElan4,
        &["out_channels", "part_channels", "process_channels", "csp_args.repeat_num"],
    ),
    ("SPPELAN", ModuleKind::SppElan, &["out_channels", "neck_channels"]),
    ("UpSample", ModuleKind::Upsample, &["size", "scale_factor", "mode"]),
    ("DySample", ModuleKind::DySample, &["scale", "style", "groups", "dyscope"]),
    ("Concat", ModuleKind::Concat, &[]),
    ("CBLinear", ModuleKind::CbLinear, &["out_channels"]),
    ("CBFuse", ModuleKind::CbFuse, &["index"]),
    (HEAD, ModuleKind::DDetect, &[]),
];
const STRIDES: [YamlNode; 3] = [YamlNode::Int(8), YamlNode::Int(16), YamlNode::Int(32)];
const HEAD: &str = "MultiheadDetection";

type Entries = [(String, Spanned<YamlNode>)];

/// Whether a document is of this format: `model` is a map of sections, and there is no `backbone`.
pub(super) fn looks_like(entries: &Entries) -> bool {
    let model = entries.iter().find(|(key, _)| key == "model");
    model.is_some_and(|(_, model)| matches!(model.value, YamlNode::Map(_)))
        && !entries.iter().any(|(key, _)| key == "backbone")
}

pub(super) fn parse(document: &Document<'_>, text: &str) -> Result<ModelConfig, ConfigError> {
    document.anchor()?;
    let layers = document.entries_of_sections()?;
    Ok(ModelConfig {
        name: document.name.into(),
        format: ConfigFormat::Mit,
        classes: DEFAULT_CLASSES,
        depth_multiple: 1.0,
        width_multiple: 1.0,
        max_channels: None,
        anchors: 3,
        activation: Activation::Silu,
        input_channels: 3,
        layers: document.official(&layers)?,
        source: text.into(),
    })
}

/// One entry of a section.
struct MitLayer<'a> {
    line: u64,
    module: ModuleKind,
    args: Vec<Argument>,
    /// Numbers of the layers it reads.
    sources: Vec<usize>,
    node: &'a Spanned<YamlNode>,
}

impl Document<'_> {
    /// `anchor: {reg_max: 16, strides: [8, 16, 32]}`: both are what every published network has. Strides are measured, so
    /// they need not be given.
    fn anchor(&self) -> Result<(), ConfigError> {
        let Some(anchor) = self.get("anchor") else { return Ok(()) };
        let YamlNode::Map(fields) = &anchor.value else { return Ok(()) };
        for (key, node) in fields {
            let expected = match (key.as_str(), &node.value) {
                ("reg_max", YamlNode::Int(16)) => continue,
                ("reg_max", _) => "16",
                ("strides", YamlNode::List(items)) if items.iter().map(|item| &item.value).eq(&STRIDES) => continue,
                ("strides", YamlNode::Null) => continue,
                ("strides", _) => "[8, 16, 32]",
                _ => continue,
            };
            return Err(self.wrong(node, format!("`anchor.{key}`"), expected));
        }
        Ok(())
    }

    fn entries_of_sections(&self) -> Result<Vec<MitLayer<'_>>, ConfigError> {
        let mut layers = Vec::new();
        let mut tags = HashMap::new();
        let Some(YamlNode::Map(sections)) = self.get("model").map(|model| &model.value) else { return Ok(layers) };
        for (section, node) in sections {
            let items = match &node.value {
                YamlNode::List(items) => items.as_slice(),
                YamlNode::Null => &[],
                _ => return Err(self.wrong(node, format!("`model.{section}`"), "a list of modules")),
            };
            for item in items {
                let number = layers.len() + 1;
                let (layer, tag) = self.entry(number, item, &tags)?;
                if let Some(tag) = tag {
                    tags.insert(tag.to_owned(), number);
                }
                layers.push(layer);
            }
        }
        Ok(layers)
    }

    fn entry<'a>(
        &self,
        number: usize,
        node: &'a Spanned<YamlNode>,
        tags: &HashMap<String, usize>,
    ) -> Result<(MitLayer<'a>, Option<&'a str>), ConfigError> {
        let YamlNode::Map(entries) = &node.value else {
            return Err(self.wrong(node, format!("layer {number}"), "a map from a module's name to its description"));
        };
        let [(module, description)] = entries.as_slice() else {
            return Err(self.wrong(node, format!("layer {number}"), "a single module"));
        };
        let known = MODULES.iter().find(|(name, ..)| name == module);
        let (_, kind, parameters) = *known.ok_or_else(|| {
            let nearest = nearest_name(module, MODULES.iter().map(|(name, ..)| *name));
            self.unknown_module(node, number, module, nearest)
        })?;
        let fields: &Entries = match &description.value {
            YamlNode::Map(fields) => fields,
            YamlNode::Null => &[],
            _ => return Err(self.wrong(description, format!("layer {number} ({module})"), "a map with `args`")),
        };
        let mut layer =
            MitLayer { line: node.referenced.line(), module: kind, args: Vec::new(), sources: vec![number - 1], node };
        let (mut tag, mut args) = (None, Vec::new());
        for (key, value) in fields {
            match (key.as_str(), &value.value) {
                ("args", YamlNode::Map(given)) => flatten("", given, &mut args),
                ("args", YamlNode::Null) | ("output" | "usable" | "trainable", _) => {}
                ("source", _) => layer.sources = self.sources(number, value, tags)?,
                ("tags", YamlNode::Text(text)) => tag = Some(text.as_str()),
                _ => {
                    return Err(self.wrong(
                        value,
                        format!("layer {number} ({module}): `{key}`"),
                        "args, source or tags",
                    ));
                }
            }
        }
        layer.args = self.arguments((number, module), parameters, &args)?;
        complete(kind, &mut layer.args);
        Ok((layer, tag))
    }

    /// `source`: a number, a tag, or a list of them.
    fn sources(
        &self,
        number: usize,
        node: &Spanned<YamlNode>,
        tags: &HashMap<String, usize>,
    ) -> Result<Vec<usize>, ConfigError> {
        let expected = "an earlier layer: its number, distance or tag";
        let wrong = |node: &Spanned<YamlNode>| self.wrong(node, format!("layer {number}: source"), expected);
        let one = |node: &Spanned<YamlNode>| match &node.value {
            YamlNode::Int(value @ 0..) if (*value as usize) < number => Ok(*value as usize),
            YamlNode::Int(value @ ..0) => number.checked_add_signed(*value as isize).ok_or_else(|| wrong(node)),
            YamlNode::Text(tag) => tags.get(tag).copied().ok_or_else(|| wrong(node)),
            _ => Err(wrong(node)),
        };
        match &node.value {
            YamlNode::List(items) => items.iter().map(one).collect(),
            _ => one(node).map(|source| vec![source]),
        }
    }

    /// Named arguments in the order of the official ones. None may be left over.
    fn arguments(
        &self,
        (number, module): (usize, &str),
        parameters: &[&str],
        given: &[(String, &Spanned<YamlNode>)],
    ) -> Result<Vec<Argument>, ConfigError> {
        if let Some((key, value)) = given.iter().find(|(key, _)| !parameters.contains(&key.as_str())) {
            let what = format!("layer {number} ({module}): argument `{key}`");
            return Err(self.wrong(value, what, "an argument that this module is known to have"));
        }
        let one = |parameter: &&str| {
            let Some((_, node)) = given.iter().find(|(key, _)| key == parameter) else { return Ok(Argument::None) };
            argument(node).map_err(|node: &Spanned<YamlNode>| {
                let what = format!("layer {number} ({module}): argument `{parameter}`");
                self.wrong(node, what, "a plain value or a list")
            })
        };
        parameters.iter().map(one).collect()
    }

    fn official(&self, layers: &[MitLayer<'_>]) -> Result<Vec<LayerSpec>, ConfigError> {
        let body = || layers.iter().enumerate().filter(|(_, layer)| !layer.module.is_head());
        let first = body().next().map_or(0, |(n, _)| n);
        let shift = usize::from(body().any(|(n, layer)| n != first && layer.sources.contains(&0)));
        // Number of a layer => index of its official layer.
        let indices: HashMap<usize, usize> = body().enumerate().map(|(index, (n, _))| (n + 1, index + shift)).collect();
        let wrong = |layer: &MitLayer<'_>| self.wrong(layer.node, "source", "a layer that is no detection head");
        let from = |layer: &MitLayer<'_>, source: usize| match source {
            0 if shift == 0 => Ok(-1),
            0 => Ok(0),
            number => indices.get(&number).map(|index| *index as i64).ok_or_else(|| wrong(layer)),
        };
        let spec =
            |index, line, from, module, args| LayerSpec { index, line: Some(line), from, number: 1, module, args };
        let mut specs = Vec::with_capacity(layers.len() + shift);
        if shift == 1 {
            specs.push(spec(0, layers[first].line, vec![-1], ModuleKind::Silence, Vec::new()));
        }
        for (_, layer) in body() {
            let sources = layer.sources.iter().map(|source| from(layer, *source)).collect::<Result<_, _>>()?;
            specs.push(spec(specs.len(), layer.line, sources, layer.module, layer.args.clone()));
        }
        // The main head comes first here and last in the official format.
        let heads: Vec<&MitLayer<'_>> = layers.iter().filter(|layer| layer.module.is_head()).collect();
        let module = match heads.len() {
            1 => ModuleKind::DDetect,
            2 => ModuleKind::DualDDetect,
            found => {
                let message = format!("{found} layers {HEAD}; expected one, and perhaps an auxiliary one");
                return Err(ConfigError::Syntax { name: self.name.into(), message });
            }
        };
        let mut sources = Vec::new();
        for head in heads.iter().rev() {
            sources.extend(head.sources.iter().map(|source| from(head, *source)).collect::<Result<Vec<_>, _>>()?);
        }
        specs.push(spec(specs.len(), heads[0].line, sources, module, vec![Argument::Classes]));
        Ok(specs)
    }
}

/// Nested maps (`csp_args: {repeat_num: 3}`) under dotted names.
fn flatten<'a>(prefix: &str, entries: &'a Entries, into: &mut Vec<(String, &'a Spanned<YamlNode>)>) {
    for (key, value) in entries {
        let path = format!("{prefix}{key}");
        match &value.value {
            YamlNode::Map(nested) => flatten(&format!("{path}."), nested, into),
            _ => into.push((path, value)),
        }
    }
}

/// Defaults of the config format, and arguments in the shape of the official ones.
fn complete(module: ModuleKind, args: &mut Vec<Argument>) {
    let half = |argument: &Argument| match argument {
        Argument::Int(value) => Argument::Int(value / 2),
        other => other.clone(),
    };
    match module {
        ModuleKind::Elan1 | ModuleKind::RepNCspElan4 if args[2] == Argument::None => args[2] = half(&args[1]),
        ModuleKind::SppElan if args[1] == Argument::None => args[1] = half(&args[0]),
        ModuleKind::Concat => args.push(Argument::Int(1)),
        ModuleKind::DDetect => args.push(Argument::Classes),
        _ => {}
    }
    while args.last() == Some(&Argument::None) {
        args.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "\
name: small
anchor: {reg_max: 16}
model:
  backbone:
    - Conv:
        args: {out_channels: 16, kernel_size: 3, stride: 2}
        source: 0
    - RepNCSPELAN:
        args: {out_channels: 32, part_channels: 24, csp_args: {repeat_num: 3}}
        tags: B2
  detection:
    - MultiheadDetection:
        source: [B2]
        tags: Main
  auxiliary:
    - Conv: {args: {out_channels: 12, kernel_size: 3, stride: 2}, source: 0}
    - CBLinear: {args: {out_channels: [12]}, source: B2, tags: R}
    - CBFuse: {args: {index: [0]}, source: [R, -2]}
    - MultiheadDetection: {source: [-1]}
";

    #[test]
    fn sections_become_rows_with_the_head_at_the_end() {
        let config = ModelConfig::from_yaml("small", SMALL).unwrap();
        assert_eq!((config.format, config.classes), (ConfigFormat::Mit, 80));
        let rows: Vec<_> = config.layers.iter().map(|row| (row.module, row.from.as_slice())).collect();
        use ModuleKind as M;
        assert_eq!(
            rows,
            [
                (M::Silence, &[-1][..]),
                (M::Conv, &[0]),
                (M::RepNCspElan4, &[1]),
                (M::Conv, &[0]),
                (M::CbLinear, &[2]),
                (M::CbFuse, &[4, 3]),
                (M::DualDDetect, &[5, 2]),
            ]
        );
        use Argument::{Int, List};
        assert_eq!(config.layers[2].args, [Int(32), Int(24), Int(12), Int(3)]);
        assert_eq!(config.layers[4].args, [List(vec![Int(12)])]);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, replacement, message) in [
            ("- Conv:\n", "- Cnov:\n", "line 5: layer 1: unknown module `Cnov`; did you mean `Conv`?"),
            (
                "kernel_size: 3, stride: 2}\n        source: 0",
                "kernel: 3}",
                "argument `kernel`: expected an argument that",
            ),
            ("reg_max: 16", "reg_max: 8", "`anchor.reg_max`: expected 16, found `8`"),
            ("reg_max: 16", "strides: [4, 8, 16]", "`anchor.strides`: expected [8, 16, 32], found a list of 3"),
            ("source: [B2]", "source: [B9]", "line 13: layer 3: source: expected an earlier layer"),
            ("source: [R, -2]", "source: [R, -9]", "layer 6: source: expected an earlier layer"),
            ("source: [R, -2]", "source: [R, 3]", "expected a layer that is no detection head"),
            (
                "- MultiheadDetection: {source: [-1]}",
                "- MultiheadDetection: {sorce: [-1]}",
                "`sorce`: expected args, source or tags",
            ),
        ] {
            assert!(SMALL.contains(text), "{text}");
            let error = ModelConfig::from_yaml("x", &SMALL.replacen(text, replacement, 1)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}\n instead of\n{message}");
        }
    }
}
