//! The real program: what a user types and what comes back.

use crate::common;
use crate::common::workdir::{Workdir, stderr, stdout};

use std::path::Path;
use std::process::Stdio;

use image::{DynamicImage, ImageFormat, RgbImage};
use yolo9::embedded::{SAMPLE_DETECTIONS, SAMPLE_IMAGE, SAMPLE_NAME};

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn sample() -> RgbImage {
    image::load_from_memory(SAMPLE_IMAGE).unwrap().into_rgb8()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn without_arguments_the_sample_is_processed_and_drawn() {
    let place = Workdir::new();
    let output = place.succeeds("detect");
    assert_eq!(stdout(&output).lines().count(), SAMPLE_DETECTIONS);
    assert!(stderr(&output).contains("image 1/1 sample-parcels.jpg: 480x640 7 qrs, 6 barcodes"), "{}", stderr(&output));
    assert!(stderr(&output).contains("Speed: ") && stderr(&output).contains("Results saved to runs/detect/exp\n"));
    let drawn = image::open(place.path("runs/detect/exp").join(SAMPLE_NAME)).unwrap().into_rgb8();
    assert_eq!(drawn.dimensions(), (1280, 960));
    assert_ne!(drawn.as_raw(), sample().as_raw());
    assert!(stderr(&place.succeeds("detect")).contains("Results saved to runs/detect/exp2\n"));
}

#[test]
fn results_are_the_same_in_every_format() {
    let place = Workdir::new();
    place.write("in/a.jpg", SAMPLE_IMAGE);
    place.write("in/sub/a.jpg", SAMPLE_IMAGE);
    let output = place.succeeds("detect in --recursive --out out --json out.json --txt --save-conf -q");
    assert_eq!(stderr(&output), "");
    let results = json(&place.path("out.json"));
    let images = results.as_array().unwrap();
    assert_eq!(images.len(), 2);
    let detections = images[0]["detections"].as_array().unwrap();
    assert_eq!(detections.len(), SAMPLE_DETECTIONS);
    assert_eq!(images[0]["width"], 1280);
    let labels = std::fs::read_to_string(place.path("out/labels/sub/a.txt")).unwrap();
    assert_eq!(labels.lines().count(), SAMPLE_DETECTIONS);
    let first: Vec<f64> = labels.lines().next().unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let corner = |key: &str| detections[0]["box"][key].as_f64().unwrap();
    assert!((first[1] * 1280.0 - (corner("x1") + corner("x2")) / 2.0).abs() < 0.01);
    assert!((first[5] - detections[0]["confidence"].as_f64().unwrap()).abs() < 1e-4);
    assert!(place.path("out/a.jpg").exists() && place.path("out/sub/a.jpg").exists());
    let row = stdout(&output).lines().next().unwrap().to_owned();
    assert_eq!(row.split('\t').nth(1), detections[0]["name"].as_str());
}

#[test]
fn json_on_stdout_is_alone_there() {
    let place = Workdir::new();
    let output = place.succeeds("detect --json - --no-draw --classes QR,3 --max-det 3 --conf 0.5");
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let classes: Vec<_> = results[0]["detections"].as_array().unwrap().iter().map(|d| d["name"].clone()).collect();
    assert_eq!(classes, ["aztec", "aztec", "qr"]);
    assert!(!place.path("runs").exists(), "nothing is written with --no-draw");
}

#[test]
fn a_checkpoint_and_a_config_give_the_same_network() {
    let place = Workdir::new();
    std::fs::copy(common::data("golden/yolov9-c-dysample-tiny/model.pt"), place.path("best.pt")).unwrap();
    let output = place.succeeds("detect --weights best.pt --conf 0.01 --no-draw --imgsz 96 128");
    assert!(stderr(&output).contains("15 auxiliary layers"), "{}", stderr(&output));
    assert!(stderr(&output).contains("96x128"), "{}", stderr(&output));
    place.succeeds("convert best.pt -o best.safetensors");
    let converted = place.succeeds("detect --weights best.safetensors --conf 0.01 --no-draw --imgsz 96 128");
    assert_eq!(stdout(&output), stdout(&converted));
    place.fails("convert best.pt -o best.safetensors", 1);
    place.write("names.txt", b"cat\ndog\n");
    let named = place.succeeds("detect --weights best.pt --conf 0.01 --no-draw --imgsz 96 128 --names names.txt");
    assert!(stdout(&named).contains("\tcat\t") || stdout(&named).contains("\tdog\t"));
    place.write("names.txt", b"cat\n");
    place.fails("detect --weights best.pt --names names.txt", 1);
}

#[test]
fn nearest_weights_are_lifted_and_detect_what_they_did() {
    let place = Workdir::new();
    // The embedded pair differs in its upsamplers only; a converted file carries the config.
    let config = |name: &str| {
        let model = yolo9::embedded::MODELS.iter().find(|model| model.name == name).unwrap();
        model.checkpoint().unwrap().metadata().config.clone().unwrap()
    };
    place.write("dysample.yaml", config("codes-dysample").as_bytes());
    place.fails("detect --weights codes-nearest --config dysample.yaml", 1);
    place.fails("convert codes-nearest --to dysample.yaml -o x.safetensors", 1);
    let lifted = place.succeeds("convert codes-nearest --to dysample.yaml --lift nearest -o lifted.safetensors");
    assert!(stderr(&lifted).contains("model.10, model.13 from nearest"), "{}", stderr(&lifted));
    let rows = |options: &str| stdout(&place.succeeds(&format!("detect --no-draw -q --conf 0.1 {options}")));
    let before = rows("--weights codes-nearest");
    assert!(before.lines().count() > SAMPLE_DETECTIONS);
    assert_eq!(rows("--weights lifted.safetensors"), before);
    assert_eq!(rows("--weights lifted.safetensors --dysample onnx").lines().count(), before.lines().count());
    place.fails("convert codes-nearest --lift nearest -o y.safetensors", 1);
    place.fails("convert codes-nearest --to gelan-c-dysample --lift nearest -o y.safetensors", 1);
    place.fails("convert lifted.safetensors --to dysample.yaml --lift nearest -o y.safetensors", 1);
    assert!(!place.path("x.safetensors").exists() && !place.path("y.safetensors").exists());
}

#[test]
fn every_kind_of_image_is_read() {
    let place = Workdir::new();
    let small = DynamicImage::from(sample()).resize(640, 480, image::imageops::FilterType::Triangle);
    place.write("bmp.bmp", &encoded(small.clone(), ImageFormat::Bmp));
    place.write("grey.png", &encoded(small.to_luma8(), ImageFormat::Png));
    place.write("grey-alpha.png", &encoded(small.to_luma_alpha8(), ImageFormat::Png));
    place.write("sixteen.png", &encoded(small.to_rgb16(), ImageFormat::Png));
    place.write("rgba.webp", &encoded(small.to_rgba8(), ImageFormat::WebP));
    place.write("tiff.tiff", &encoded(small.clone(), ImageFormat::Tiff));
    place.write("one.png", &encoded(RgbImage::from_pixel(1, 1, image::Rgb([200, 0, 0])), ImageFormat::Png));
    place.write("thin.png", &encoded(RgbImage::from_pixel(3000, 2, image::Rgb([200, 0, 0])), ImageFormat::Png));
    place.write("animated.gif", &animation(&small));
    std::fs::copy(common::data("images/cmyk.jpg"), place.path("cmyk.jpg")).unwrap();
    let output = place.succeeds("detect . --out out --json out.json");
    assert_eq!(json(&place.path("out.json")).as_array().unwrap().len(), 10, "{}", stderr(&output));
    for path in place.list("out") {
        let original = place.path(path.file_name().unwrap().to_str().unwrap());
        let size = |path: &Path| image::image_dimensions(path).unwrap();
        assert_eq!(size(&path), size(&original), "{}", path.display());
        // Same format, as its content says.
        let format = |path: &Path| image::guess_format(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(format(&path), format(&original));
    }
    let found = |name: &str| {
        let results = json(&place.path("out.json"));
        let image = results.as_array().unwrap().iter().find(|p| p["image"].as_str().unwrap().ends_with(name));
        image.unwrap()["detections"].as_array().unwrap().len()
    };
    for name in ["bmp.bmp", "sixteen.png", "rgba.webp", "tiff.tiff"] {
        assert!(found(name).abs_diff(found("bmp.bmp")) <= 1 && found(name) > 15, "{name}: {}", found(name));
    }
    assert!(found("grey-alpha.png") == found("grey.png") && found("cmyk.jpg") > 0);
}

/// The image, then a white frame.
fn animation(first: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    let white = image::RgbaImage::from_pixel(first.width(), first.height(), image::Rgba([255; 4]));
    encoder.encode_frames([first.to_rgba8(), white].map(image::Frame::new)).unwrap();
    drop(encoder);
    bytes
}

#[test]
fn exif_orientation_turns_the_image() {
    let place = Workdir::new();
    // Turned by a quarter clockwise, with an EXIF note that says so (orientation 8: turn back).
    let turned = encoded(image::imageops::rotate90(&sample()), ImageFormat::Jpeg);
    let exif = b"\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00";
    place.write("turned.jpg", &[&turned[..2], exif, &turned[2..]].concat());
    place.succeeds("detect turned.jpg --out out --json out.json");
    let result = &json(&place.path("out.json"))[0];
    assert_eq!((result["width"].as_u64(), result["height"].as_u64()), (Some(1280), Some(960)));
    assert!(result["detections"].as_array().unwrap().len().abs_diff(SAMPLE_DETECTIONS) <= 2);
    assert_eq!(image::image_dimensions(place.path("out/turned.jpg")).unwrap(), (1280, 960));
}

/// A PNG that says it has 20000x20000 pixels, in a hundred bytes.
fn huge_png() -> Vec<u8> {
    let mut png = encoded(RgbImage::new(1, 1), ImageFormat::Png);
    png[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let checksum = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

#[test]
fn broken_images_are_named_and_the_others_are_done() {
    let place = Workdir::new();
    place.write("in/good.jpg", SAMPLE_IMAGE);
    place.write("in/text.jpg", b"this is no image");
    place.write("in/empty.png", b"");
    place.write("in/truncated.jpg", &SAMPLE_IMAGE[..SAMPLE_IMAGE.len() / 2]);
    place.write("in/truncated.png", &encoded(sample(), ImageFormat::Png)[..5000]);
    place.write("in/huge.png", &huge_png());
    let output = place.run("detect in missing.jpg --out out --json out.json");
    let said = stderr(&output);
    common::messages::check("broken images", &said);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let done = json(&place.path("out.json"));
    let good = done.as_array().unwrap().iter().find(|p| p["image"] == "in/good.jpg").unwrap();
    assert_eq!(good["detections"].as_array().unwrap().len(), SAMPLE_DETECTIONS);
    assert!(place.path("out/good.jpg").exists());
    assert!(!said.contains("panicked"));
}

#[test]
fn a_result_never_replaces_its_image() {
    let place = Workdir::new();
    place.write("in/a.jpg", SAMPLE_IMAGE);
    place.fails("detect in --out in --exist-ok", 1);
    place.fails("detect in/a.jpg --no-draw --json in/a.jpg --exist-ok", 1);
    assert_eq!(std::fs::read(place.path("in/a.jpg")).unwrap(), SAMPLE_IMAGE);
    // The JSON may lie in the output folder, and a second run does not process the first one's results.
    place.succeeds("detect in --recursive --out in/out --json in/out/r.json");
    place.succeeds("detect in --recursive --out in/out --json in/out/r.json --exist-ok");
    assert_eq!(json(&place.path("in/out/r.json")).as_array().unwrap().len(), 1);
}

#[test]
fn closed_and_full_streams_do_not_panic() {
    let place = Workdir::new();
    for (arguments, code) in [("configs", 1), ("doctor", 1), ("detect --no-draw", 1)] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let Ok(full) = full else { return };
        let output = place.command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", stderr(&output));
    }
}

#[test]
fn no_input_has_its_own_exit_code() {
    let place = Workdir::new();
    place.write("in/notes.txt", b"");
    place.write("in/sub/a.jpg", SAMPLE_IMAGE);
    place.fails("detect in", 3);
    place.fails("detect missing.jpg", 3);
}

#[test]
fn mistakes_in_the_options_name_the_remedy() {
    let place = Workdir::new();
    place.write("a.jpg", SAMPLE_IMAGE);
    place.write("file", b"x");
    place.write("full/precious", b"x");
    let row = "[-1, 1, SPPELAN, [512, 256]]";
    let edited = |from: &str, to: &str| {
        let yaml = yolo9::config::ModelConfig::builtin("gelan-c").unwrap().source;
        assert!(yaml.contains(from));
        yaml.replacen(from, to, 1)
    };
    place.write("module.yaml", edited(row, "[-1, 1, SPPELEN, [512, 256]]").as_bytes());
    place.write("from.yaml", edited(row, "[99, 1, SPPELAN, [512, 256]]").as_bytes());
    place.write("channels.yaml", edited("[[-1, 6], 1, Concat, [1]]", "[[-1, 2], 1, CBFuse, [[0]]]").as_bytes());
    std::fs::copy(common::data("golden/yolov9-t-tiny/model.pt"), place.path("tiny.pt")).unwrap();
    for arguments in [
        "detect a.jpg --weights none.pt",
        "detect a.jpg --weights full",
        "detect a.jpg --json full",
        "convert codes-nearest -o x.safetensors --metadata names=x",
        "detect a.jpg --weights a.jpg",
        "detect a.jpg --config yolov9-x",
        "detect a.jpg --config module.yaml",
        "detect a.jpg --config from.yaml",
        "detect a.jpg --config channels.yaml",
        "detect a.jpg --weights tiny.pt --config gelan-c",
        "detect a.jpg --classes qrr",
        "detect a.jpg --out file/sub",
        "detect a.jpg --out full",
        "detect a.jpg --json file",
        "detect a.jpg --json no/such/folder.json",
        "detect a.jpg --onnxruntime file",
        "configs yolov9-cc",
    ] {
        place.fails(arguments, 1);
    }
    place.fails("detect a.jpg --conf 1.5", 1);
    assert!(!place.path("runs").exists(), "a run that cannot start leaves no folder");
    assert_eq!(std::fs::read(place.path("full/precious")).unwrap(), b"x");
}

#[test]
fn without_library_and_network_the_remedy_is_named() {
    let place = Workdir::new();
    let mut command = place.command("detect --offline");
    // No Python is found either.
    command.env("YOLO9_CACHE", place.path("cache")).env("PATH", place.path("bin")).env_remove("ORT_DYLIB_PATH");
    let output = command.output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("no ONNX Runtime library found"), "{said}");
    assert!(said.contains("--onnxruntime or ORT_DYLIB_PATH"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn doctor_finds_everything_well() {
    let said = stdout(&Workdir::new().succeeds("doctor"));
    assert!(
        said.contains(&format!("{SAMPLE_DETECTIONS} objects, {SAMPLE_DETECTIONS} expected"))
            && said.ends_with("All checks passed\n"),
        "{said}"
    );
}

#[test]
fn configs_are_listed_and_printed() {
    let place = Workdir::new();
    let list = stdout(&place.succeeds("configs"));
    assert_eq!(list.lines().count(), 31);
    assert!(list.contains("yolov9-c-dysample           24     25305184"), "{list}");
    assert!(stdout(&place.succeeds("configs gelan-c")).contains("SPPELAN, [512, 256]"));
    assert!(
        stdout(&place.succeeds("configs --modules"))
            .contains("DySample        [scale=2, style='lp' or 'pl', groups=4, dyscope=False]\n")
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_between_images_keeps_what_is_done() {
    use std::io::{BufRead, BufReader};

    let place = Workdir::new();
    for number in 0..200 {
        place.write(&format!("in/{number:03}.jpg"), SAMPLE_IMAGE);
    }
    let mut child = place
        .command("detect in --out out --json out.json")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("image 3/200")));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.iter().any(|line| line.starts_with("Interrupted after ")), "{rest:?}");
    let results = json(&place.path("out.json")).as_array().unwrap().len();
    assert!((3..200).contains(&results));
    let drawn = place.list("out");
    assert_eq!(drawn.len(), results);
    assert!(drawn.iter().all(|path| image::open(path).is_ok()));
}

#[test]
fn shells_and_man_get_what_they_need() {
    let place = Workdir::new();
    for (shell, expected) in [("bash", "_yolo9()"), ("zsh", "#compdef yolo9"), ("fish", "complete -c yolo9")] {
        let script = stdout(&place.succeeds(&format!("completions {shell}")));
        assert!(script.contains(expected) && script.contains("shard"), "{shell}");
    }
    let page = stdout(&place.succeeds("man"));
    for part in [".TH yolo9 1", ".SH \"YOLO9 DETECT\"", "fail\\-fast", ".SH \"YOLO9 MERGE\""] {
        assert!(page.contains(part), "{part}");
    }
}
