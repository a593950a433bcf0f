//! The configurations embedded in the program, by name.

use super::ConfigError;
use super::module::nearest_name;

/// An embedded model configuration.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinConfig {
    /// Name, such as `yolov9-c-dysample`.
    pub name: &'static str,
    /// Its YAML text.
    pub yaml: &'static str,
}

macro_rules! builtin {
    ($network:literal + $twin:literal) => {
        BuiltinConfig {
            name: concat!($network, $twin),
            yaml: include_str!(concat!("../../configs/", $network, $twin, ".yaml")),
        }
    };
    ($($network:literal),* $(,)?) => {
        &[$(builtin!($network + ""), builtin!($network + "-dysample"), builtin!($network + "-dysample-all")),*]
    };
}

/// All embedded configurations: YOLOv9 and GELAN in five sizes, each with two twins: `-dysample` has DySample at the second
/// upsample of the neck, `-dysample-all` at every one that the main branch needs.
pub static BUILTIN_CONFIGS: &[BuiltinConfig] = builtin![
    "yolov9-t", "yolov9-s", "yolov9-m", "yolov9-c", "yolov9-e", "gelan-t", "gelan-s", "gelan-m", "gelan-c", "gelan-e",
];

pub(super) fn find(name: &str) -> Result<&'static BuiltinConfig, ConfigError> {
    let plain = name.strip_suffix(".yaml").unwrap_or(name);
    BUILTIN_CONFIGS.iter().find(|config| config.name.eq_ignore_ascii_case(plain)).ok_or_else(|| {
        ConfigError::UnknownBuiltin {
            name: name.into(),
            nearest: nearest_name(plain, BUILTIN_CONFIGS.iter().map(|config| config.name)),
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{ModelConfig, ModuleKind};

    use super::*;

    #[test]
    fn every_builtin_parses_and_its_twin_differs_in_one_row() {
        for twin in BUILTIN_CONFIGS.iter().filter(|config| config.name.ends_with("-dysample")) {
            let plain = ModelConfig::builtin(twin.name.trim_end_matches("-dysample")).unwrap();
            let twin = ModelConfig::builtin(twin.name).unwrap();
            let pairs = plain.layers.iter().zip(&twin.layers);
            let changed: Vec<_> = pairs.filter(|(a, b)| (a.module, &a.args) != (b.module, &b.args)).collect();
            let [(before, after)] = changed.as_slice() else { panic!("{}: {changed:?}", twin.name) };
            assert_eq!((before.module, after.module), (ModuleKind::Upsample, ModuleKind::DySample));
        }
    }
}
