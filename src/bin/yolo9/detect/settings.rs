//! From the options to what the detector needs to know.

use anyhow::Context;
use yolo9::Size;
use yolo9::detect::{Settings, Thresholds};
use yolo9::picture::{Fit, InputShape, ScaleBack};

use super::DetectArgs;
use crate::model::Loaded;

pub(super) fn settings(args: &DetectArgs, model: &Loaded) -> anyhow::Result<Settings> {
    let preset = args.preset.preset();
    if model.suppresses() && (args.iou.is_some() || args.agnostic) {
        log::warn!("the model was exported with suppression of overlaps: --iou and --agnostic change nothing");
    }
    if model.suppresses() {
        let beyond = |option: &str, baked: f64| {
            log::warn!("{option}: the model was exported with {baked}, and gives nothing beyond that");
        };
        match (args.conf, model.exported_with("conf")) {
            (Some(asked), Some(baked)) if f64::from(asked) < baked - 1e-6 => beyond("--conf", baked),
            _ => {}
        }
        match (args.max_det, model.exported_with("max_det")) {
            (Some(asked), Some(baked)) if f64::from(asked) > baked => beyond("--max-det", baked),
            _ => {}
        }
    }
    let fit = fit(args, model, preset.scale_back())?;
    let defaults = preset.thresholds();
    let classes = args.classes.as_deref().map(|wanted| class_ids(wanted, model.class_names())).transpose()?;
    let thresholds = Thresholds {
        confidence: args.conf.unwrap_or(defaults.confidence),
        iou: args.iou.unwrap_or(defaults.iou),
        max_detections: args.max_det.map_or(defaults.max_detections, |n| n as usize),
        agnostic: args.agnostic,
        multi_label: false,
        classes,
    };
    Ok(Settings { fit, thresholds })
}

/// Where pictures go in the network's input.
fn fit(args: &DetectArgs, model: &Loaded, scale_back: ScaleBack) -> anyhow::Result<Fit> {
    let shape = if args.square { InputShape::Full } else { InputShape::Rectangular };
    if let Some(fixed) = model.fixed_size() {
        if let Some(asked) = args.imgsz.filter(|asked| *asked != fixed) {
            anyhow::bail!(
                "--imgsz {}x{}: {} was exported for inputs of {}x{} (height x width) only",
                asked.height,
                asked.width,
                args.model.weights,
                fixed.height,
                fixed.width
            );
        }
        return Ok(Fit { target: fixed, stride: model.stride(), shape: InputShape::Full, scale_back });
    }
    let asked = args.imgsz.or(model.preferred_size()).unwrap_or(Size::square(640));
    let fit = Fit::new(asked, model.stride(), shape, scale_back);
    if fit.target != asked {
        log::warn!("--imgsz {asked} is rounded up to {}, a multiple of the stride {}", fit.target, fit.stride);
    }
    Ok(fit)
}

/// Ids of classes given by name (in any case) or id.
fn class_ids(wanted: &[String], names: &[String]) -> anyhow::Result<Vec<usize>> {
    let id_of = |wanted: &String| {
        let wanted = wanted.trim();
        let by_name = names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        by_name.or_else(|| wanted.parse().ok().filter(|id| *id < names.len())).with_context(|| {
            let nearest = yolo9::config::nearest_name(wanted, names.iter().map(String::as_str));
            let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            let known = names.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("--classes {wanted}: no such class{hint} (there are {}, beginning with {known})", names.len())
        })
    };
    wanted.iter().map(id_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_and_id() {
        let names = ["person".to_owned(), "car".to_owned(), "traffic light".to_owned()];
        let ids = |wanted: &[&str]| class_ids(&wanted.iter().map(|&w| w.to_owned()).collect::<Vec<_>>(), &names);
        assert_eq!(ids(&["Car", "0", "traffic light"]).unwrap(), [1, 0, 2]);
        let error = ids(&["persn"]).unwrap_err().to_string();
        assert!(error.contains("did you mean `person`?"), "{error}");
        assert!(ids(&["3"]).is_err());
    }
}
