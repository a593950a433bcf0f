//! The modules that a layer may name.

use std::fmt;

/// A module of the official YOLOv9 files, or DySample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the names of the table below; architecture/blocks.rs describes each")]
pub enum ModuleKind {
    Silence,
    Conv,
    AConv,
    ADown,
    Elan1,
    RepNCspElan4,
    SppElan,
    SppCspc,
    MaxPool,
    Upsample,
    DySample,
    Concat,
    CbLinear,
    CbFuse,
    Detect,
    DDetect,
    DualDetect,
    DualDDetect,
    TripleDetect,
    TripleDDetect,
}

/// Names as YAML files write them, and the arguments in order with their defaults. The first name of a kind is the one that
/// we print.
const NAMES: &[(&str, ModuleKind, &str)] = &[
    ("Silence", ModuleKind::Silence, "[]"),
    ("nn.Identity", ModuleKind::Silence, "[]"),
    ("Conv", ModuleKind::Conv, "[channels, kernel=1, stride=1, padding=None, groups=1, dilation=1, activation=True]"),
    ("AConv", ModuleKind::AConv, "[channels]"),
    ("ADown", ModuleKind::ADown, "[channels]"),
    ("ELAN1", ModuleKind::Elan1, "[channels, hidden channels, branch channels]"),
    ("RepNCSPELAN4", ModuleKind::RepNCspElan4, "[channels, hidden channels, branch channels, repeats=1]"),
    ("SPPELAN", ModuleKind::SppElan, "[channels, hidden channels]"),
    ("SPPCSPC", ModuleKind::SppCspc, "[channels, repeats=1, shortcut=False, expansion=0.5]"),
    ("MP", ModuleKind::MaxPool, "[kernel=2]"),
    ("nn.Upsample", ModuleKind::Upsample, "[size=None, scale, mode='nearest' or 'bilinear']"),
    ("Upsample", ModuleKind::Upsample, "[size=None, scale, mode='nearest' or 'bilinear']"),
    ("DySample", ModuleKind::DySample, "[scale=2, style='lp' or 'pl', groups=4, dyscope=False]"),
    ("Concat", ModuleKind::Concat, "[dimension=1]"),
    ("CBLinear", ModuleKind::CbLinear, "[[channels, …], kernel=1, stride=1, padding=None, groups=1]"),
    ("CBFuse", ModuleKind::CbFuse, "[[index, …]]"),
    ("Detect", ModuleKind::Detect, "[nc]"),
    ("DDetect", ModuleKind::DDetect, "[nc]"),
    ("DualDetect", ModuleKind::DualDetect, "[nc]"),
    ("DualDDetect", ModuleKind::DualDDetect, "[nc]"),
    ("TripleDetect", ModuleKind::TripleDetect, "[nc]"),
    ("TripleDDetect", ModuleKind::TripleDDetect, "[nc]"),
];

impl ModuleKind {
    /// The kind that a YAML name stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, ..)| *known == name).map(|(_, kind, _)| *kind)
    }

    /// The name that YAML files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind, _)| *kind == self).map_or("?", |(name, ..)| name)
    }

    /// All names that YAML files may use, with what they stand for, and its arguments in order with their defaults. Channels
    /// are scaled by `width_multiple`.
    pub fn names() -> impl Iterator<Item = (&'static str, Self, &'static str)> {
        NAMES.iter().copied()
    }

    /// Whether this is a detection head, which ends a network.
    #[must_use]
    pub fn is_head(self) -> bool {
        use ModuleKind::{DDetect, Detect, DualDDetect, DualDetect, TripleDDetect, TripleDetect};
        matches!(self, Detect | DDetect | DualDetect | DualDDetect | TripleDetect | TripleDDetect)
    }

    /// The known name that is spelt most like `name`.
    #[must_use]
    pub fn nearest(name: &str) -> Option<&'static str> {
        nearest_name(name, NAMES.iter().map(|(known, ..)| *known))
    }
}

impl fmt::Display for ModuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What names of models are written with.
const EXTENSIONS: [&str; 5] = [".pt", ".pth", ".onnx", ".yaml", ".yml"];

/// More letters than this are not mistyped in one name.
const MAX_TYPOS: usize = 4;

/// The candidate that has the letters and digits of `name`, whatever its hyphens, case and extension; else the one spelt
/// most like it, or nothing when none is close enough to be a typo of it.
#[must_use]
pub fn nearest_name<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters =
        |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let name = EXTENSIONS.iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(name);
    let (wanted, plain) = (name.to_lowercase(), letters(name));
    let distance = |candidate: &str| match letters(candidate) == plain {
        true => 0,
        false => strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()),
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(2).min(MAX_TYPOS))
        .map(|(_, candidate)| candidate)
}

/// The end of a message about a name that is none; nothing where none is near.
#[must_use]
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The same behind the name of a key that is missing: `key` is one that is there.
pub(super) fn meant_by(key: Option<&str>) -> String {
    key.map(|key| format!("; did you mean that by `{key}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_a_kind_and_back() {
        for (name, kind, _) in NAMES {
            assert_eq!(ModuleKind::from_name(name), Some(*kind));
            assert_eq!(ModuleKind::from_name(kind.name()), Some(*kind));
        }
    }

    #[test]
    fn typos_find_the_module_that_was_meant() {
        for (typo, meant) in [
            ("DySampel", Some("DySample")),
            ("dysample", Some("DySample")),
            ("RepNCSPELAN", Some("RepNCSPELAN4")),
            ("nn.upsample", Some("nn.Upsample")),
            ("DualDDetec", Some("DualDDetect")),
            ("TransformerEncoderLayer", None),
        ] {
            assert_eq!(ModuleKind::nearest(typo), meant, "{typo}");
        }
    }
}
