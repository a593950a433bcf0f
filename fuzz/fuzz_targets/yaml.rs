//! Configurations of all config formats, and the architectures that they describe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yolo9::Size;
use yolo9::architecture::{Architecture, Form};
use yolo9::config::ModelConfig;

fuzz_target!(|text: &str| {
    let Ok(config) = ModelConfig::from_yaml("fuzz", text) else { return };
    let _ = config.source_with_classes(3);
    let again = ModelConfig::from_yaml("again", &config.to_yaml()).expect("what we write is read");
    assert_eq!(again.layers.len(), config.layers.len());
    let Ok(architecture) = Architecture::new(&config) else { return };
    let _ = architecture.parameters();
    let _ = architecture.cost(Size::square(64), Form::Training);
});
