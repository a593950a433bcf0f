//! What to type next. The library's errors say what is wrong; options and commands are this program's words.

use yolo9::config::ConfigError;
use yolo9::hub::HubError;
use yolo9::image::ImageError;
use yolo9::model::ModelError;
use yolo9::onnx::{OnnxFileError, OnnxProblem};
use yolo9::runtime::{Device, DeviceProblem, Precision, RuntimeError};
use yolo9::weights::WeightsError;

/// A continuation of an error's message, or nothing.
pub(crate) fn of(error: &anyhow::Error) -> String {
    error.chain().find_map(of_cause).map(|remedy| format!("; {remedy}")).unwrap_or_default()
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let known = |remedy: &str| Some(remedy.to_owned());
    if let Some(error) = cause.downcast_ref::<ModelError>() {
        return match error {
            ModelError::NoConfig { .. } => {
                known("name its config with --config (`yolo9 configs` lists the built-in ones)")
            }
            ModelError::ConfigOfExported { .. } => known("leave out --config"),
            ModelError::InputSize { .. } => known("leave out --imgsz"),
            ModelError::Unknown { nearest: None, .. } => known("`yolo9 models` lists the released ones"),
            ModelError::Release(error) => of_hub(error),
            ModelError::Names { .. } => known("correct --names"),
            ModelError::Weights(error) => of_weights(error),
            ModelError::Config(error) => of_config(error),
            ModelError::Exported(error) => of_onnx(error),
            _ => None,
        };
    }
    let found = (cause.downcast_ref().and_then(of_weights))
        .or_else(|| cause.downcast_ref().and_then(of_config))
        .or_else(|| cause.downcast_ref().and_then(of_onnx))
        .or_else(|| cause.downcast_ref().and_then(of_image))
        .or_else(|| cause.downcast_ref().and_then(of_hub));
    if found.is_some() {
        return found;
    }
    match cause.downcast_ref::<RuntimeError>()? {
        RuntimeError::Named { .. } => {
            known("give another path with --onnxruntime, or unset it to let yolo9 find or fetch the library")
        }
        RuntimeError::Offline { .. } => known(
            "run once without --offline (or YOLO9_OFFLINE), or give its path with --onnxruntime or ORT_DYLIB_PATH",
        ),
        RuntimeError::Fetch { .. } => known(
            "check the network and that `python3 -m pip` works, or give the path of the library with --onnxruntime or \
             ORT_DYLIB_PATH",
        ),
        RuntimeError::Device { device, problem } => Some(of_device(*device, problem)),
        RuntimeError::NotQuantised { exported: false, .. } => {
            known("`yolo9 quantize` makes a file of it that was; leave out --precision for this one")
        }
        RuntimeError::NotQuantised { exported: true, .. } => {
            known("give `yolo9 quantize` the checkpoint that it was exported from; leave out --precision for this one")
        }
        RuntimeError::FixedPrecision { asked, .. } => Some(format!(
            "leave out --precision{}",
            if *asked == Precision::F16 { ", or write the file with `yolo9 export --half`" } else { "" }
        )),
        _ => None,
    }
}

fn of_device(device: Device, problem: &DeviceProblem) -> String {
    let others = "`yolo9 doctor` lists what works here";
    match problem {
        DeviceProblem::Precision { .. } | DeviceProblem::Processor { .. } => {
            format!("ask for another --precision or --device ({others})")
        }
        DeviceProblem::Unpublished | DeviceProblem::NotInLibrary { .. } => match device.package() {
            Some(package) if package.is_published() => format!(
                "leave out --onnxruntime and ORT_DYLIB_PATH, so that yolo9 fetches {}, or take another --device",
                package.name
            ),
            _ => format!("name a library that has it with --onnxruntime, or take another --device ({others})"),
        },
        DeviceProblem::Provider(_) => format!(
            "check that the device exists and that its driver and libraries are installed, or take another --device \
             ({others})"
        ),
        DeviceProblem::Fallback { .. } => {
            format!(
                "a network in parts is slower than on the CPU as a whole: leave out --dysample native, or take another \
                 --device ({others})"
            )
        }
        DeviceProblem::Driver(_) => {
            let too =
                if matches!(device, Device::OpenVino(_)) { "" } else { " (the library wants CUDA 13 and cuDNN 9 too)" };
            format!(
                "install it{too}, name a library with --onnxruntime if it is there all the same, or take another --device \
                 ({others})"
            )
        }
        _ => others.into(),
    }
}

fn of_weights(error: &WeightsError) -> Option<String> {
    match error {
        WeightsError::Mismatch { weights, config, lift: Some(upsampler), .. } => Some(format!(
            "give them its parameters with `yolo9 convert {} --to {} --lift {upsampler}`",
            quoted(weights),
            quoted(config)
        )),
        _ => None,
    }
}

fn of_config(error: &ConfigError) -> Option<String> {
    match error {
        ConfigError::UnknownModule { nearest: None, .. } => {
            Some("`yolo9 configs --modules` lists the known ones".into())
        }
        ConfigError::UnknownBuiltin { nearest: None, .. } => Some("`yolo9 configs` lists the built-in ones".into()),
        _ => None,
    }
}

fn of_onnx(error: &OnnxFileError) -> Option<String> {
    matches!(error.problem, OnnxProblem::Classes).then(|| "give their names with --names".into())
}

/// For images of a run, whose failures are said one by one.
pub(crate) fn of_image(error: &ImageError) -> Option<String> {
    match error {
        ImageError::TooLarge { .. } => Some("raise it with --max-megapixels".into()),
        ImageError::TooMuchMemory { .. } => Some("raise it with --max-image-memory".into()),
        _ => None,
    }
}

fn of_hub(error: &HubError) -> Option<String> {
    match error {
        HubError::Offline { name, .. } => {
            Some(format!("run `yolo9 models pull {name}` once without --offline (or YOLO9_OFFLINE), or put it there"))
        }
        HubError::Changed { name, .. } => {
            Some(format!("`yolo9 models remove {name}` deletes it, `--forget` with it accepts another one next time"))
        }
        HubError::Replaced { name, .. } => Some(format!("`yolo9 models remove {name} --forget` does that")),
        _ => None,
    }
}

/// As a shell takes it for one word.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/\\._-:+,@%".contains(c);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
