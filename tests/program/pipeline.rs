//! However a run is divided among threads, batches and processes, its results are the same.

use crate::common::workdir::{Workdir, stderr, stdout};
use image::imageops::FilterType;
use serde_json::Value;
use yolo9::embedded::{SAMPLE_DETECTIONS, SAMPLE_IMAGE};

/// Images of three sizes.
fn place() -> Workdir {
    let place = Workdir::new();
    let sample = image::load_from_memory(SAMPLE_IMAGE).unwrap();
    let tall = sample.rotate90();
    let small = sample.crop_imm(0, 0, 700, 300);
    for n in 0..9 {
        let image = [&sample, &tall, &small][n % 3];
        std::fs::create_dir_all(place.path("in")).unwrap();
        image.save(place.path(&format!("in/{n}.png"))).unwrap();
    }
    place.write("in/4b.jpg", b"no image");
    place
}

#[test]
fn sessions_batches_and_workers_change_nothing() {
    let place = place();
    let run = |options: &str| {
        let output = place.run(&format!("-q detect in --no-draw --jsonl - --imgsz 320 {options}"));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stdout(&output)
    };
    let plain = run("--sessions 1 --workers 1");
    assert_eq!(plain.lines().count(), 9);
    for options in ["", "--sessions 3", "--sessions 2 --workers 3", "--threads 2 --sessions 1"] {
        assert_eq!(run(options), plain, "{options}");
    }
    // In a batch, matrices are multiplied in other blocks: equal but for rounding.
    let batched = run("--batch 4 --sessions 2");
    let parsed = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    for (batched, plain) in parsed(&batched).iter().zip(&parsed(&plain)) {
        assert_eq!(batched["image"], plain["image"]);
        let [batched, plain] = [batched, plain].map(|image| image["detections"].as_array().unwrap());
        assert_eq!(batched.len(), plain.len());
        for (batched, plain) in batched.iter().zip(plain) {
            let scores = [batched, plain].map(|detection| detection["confidence"].as_f64().unwrap());
            assert!((scores[0] - scores[1]).abs() < 1e-3, "{batched} {plain}");
        }
    }
}

/// Ten ways for an image to be broken.
#[test]
fn broken_images_are_named_and_all_others_done() {
    let place = Workdir::new();
    let small = image::load_from_memory(SAMPLE_IMAGE).unwrap().resize(64, 48, FilterType::Nearest).to_rgb8();
    let encoded = |format: image::ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        small.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let (jpeg, png) = (encoded(image::ImageFormat::Jpeg), encoded(image::ImageFormat::Png));
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut scrambled = png.clone();
    scrambled[60..].iter_mut().for_each(|byte| *byte ^= 0x55);
    (0..90).for_each(|n| place.write(&format!("in/{n}.jpg"), &jpeg));
    let broken: [(&str, &[u8]); 10] = [
        ("a.jpg", b""),
        ("b.jpg", &jpeg[..jpeg.len() / 2]),
        ("c.jpg", &jpeg[..jpeg.len() - 2]),
        ("d.jpg", b"no image"),
        ("e.png", &png[..30]),
        ("f.png", &huge),
        ("g.png", &scrambled),
        ("h.gif", b"GIF89a\x10\0\x10\0"),
        ("i.bmp", b"BM\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("j.webp", b"RIFF\x10\0\0\0WEBPVP8 xxxx"),
    ];
    broken.iter().for_each(|(name, bytes)| place.write(&format!("in/{name}"), bytes));
    let output = place.run("-q detect in --no-draw --imgsz 32 --jsonl a.jsonl --out out");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(place.path("a.jsonl")).unwrap().lines().count(), 90);
    let failed = std::fs::read_to_string(place.path("out/failed.jsonl")).unwrap();
    let failed: Vec<Value> = failed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = failed.iter().map(|failure| failure["image"].as_str().unwrap()).collect();
    assert_eq!(names, broken.map(|(name, _)| format!("in/{name}")));
}

/// What ONNX Runtime got, as the program says it.
#[test]
fn a_batch_is_one_run_of_the_network() {
    let place = Workdir::new();
    (0..8).for_each(|n| place.write(&format!("in/{n}.jpg"), SAMPLE_IMAGE));
    let output = place.succeeds("-v detect in --no-draw --imgsz 320 --sessions 1 --batch 4");
    let said = stderr(&output);
    assert!(said.contains("Input of the session: [4, 3, 256, 320]"), "{said}");
    let output = place.succeeds("-v detect in --no-draw --imgsz 320 --sessions 1");
    assert!(stderr(&output).contains("Input of the session: [1, 3, 256, 320]"), "{}", stderr(&output));
}

#[test]
fn no_output_option_changes_detections() {
    let place = Workdir::new();
    let sample = image::load_from_memory(SAMPLE_IMAGE).unwrap();
    sample.resize_exact(5120, 3840, FilterType::Triangle).to_rgb8().save(place.path("large.jpg")).unwrap();
    let run = |options: &str| stdout(&place.succeeds(&format!("-q detect large.jpg {options} --json -")));
    let drawn = run("--out out");
    assert!(drawn.contains("\"width\":5120"));
    for options in ["--no-draw", "--no-draw --txt --out labels", "--html --save-crop --out all"] {
        assert_eq!(run(options), drawn, "{options}");
    }
    assert_eq!(image::image_dimensions(place.path("out/large.jpg")).unwrap(), (5120, 3840));
}

#[cfg(unix)]
mod videos {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Stands for ffmpeg: gives the PPM frames of the file `frames`, and keeps what it is given to encode.
    const FFMPEG: &str = r#"#!/bin/sh
for last; do :; done
case "$*" in
    *image2pipe*) echo "$@" > reader.args; [ -s frames ] || { echo "not a video" >&2; exit 1; }; cat frames ;;
    *) echo "$@" > writer.args; cat > "${last#file:}" ;;
esac
"#;
    const FFPROBE: &str = r#"#!/bin/sh
echo '{"streams": [{"avg_frame_rate": "10/1"}], "format": {"duration": "0.3"}}'
"#;

    fn with_ffmpeg(frames: usize) -> (Workdir, u32, u32) {
        let place = Workdir::new();
        let image = image::load_from_memory(SAMPLE_IMAGE).unwrap().to_rgb8();
        let (width, height) = image.dimensions();
        let mut bytes = Vec::new();
        for _ in 0..frames {
            bytes.extend(format!("P6\n{width} {height}\n255\n").bytes());
            bytes.extend(image.as_raw());
        }
        place.write("frames", &bytes);
        place.write("clip.avi", b"");
        for (name, script) in [("bin/ffmpeg", FFMPEG), ("bin/ffprobe", FFPROBE)] {
            place.write(name, script.as_bytes());
            std::fs::set_permissions(place.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        (place, width, height)
    }

    fn run(place: &Workdir, arguments: &str) -> std::process::Output {
        place.command(arguments).env("YOLO9_FFMPEG", place.path("bin/ffmpeg")).output().unwrap()
    }

    #[test]
    fn a_video_gives_numbered_results_and_an_annotated_video() {
        let (place, width, height) = with_ffmpeg(3);
        let output = run(&place, "detect clip.avi --out out --txt --save-crop --jsonl out/a.jsonl");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("image 3/3 clip.avi#3: "), "{}", stderr(&output));
        assert_eq!(stdout(&output).lines().count(), 3 * SAMPLE_DETECTIONS);
        let lines = std::fs::read_to_string(place.path("out/a.jsonl")).unwrap();
        let second: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(second["image"], "clip.avi#2");
        let label = std::fs::read_to_string(place.path("out/labels/clip.mp4/000003.txt")).unwrap();
        assert_eq!(label.lines().count(), SAMPLE_DETECTIONS);
        assert!(place.path("out/crops/aztec/clip.mp4/000001.1.jpg").is_file());
        let film = std::fs::metadata(place.path("out/clip.mp4")).unwrap();
        assert_eq!(film.len(), u64::from(3 * 3 * width * height), "three frames of RGB");
        let arguments = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
        assert!(arguments("reader.args").contains("-protocol_whitelist file,crypto,data -i file:clip.avi"));
        assert!(arguments("writer.args").contains(&format!("-video_size {width}x{height} -framerate 10/1")));
        assert!(!place.path("out/failed.jsonl").exists() && !place.path("out/.journal.jsonl").exists());
    }

    #[test]
    fn every_other_frame_keeps_the_speed() {
        let (place, width, height) = with_ffmpeg(5);
        let output = run(&place, "-q detect clip.avi --out out --vid-stride 2 --jsonl -");
        let names: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<&str> = names.iter().map(|line| line["image"].as_str().unwrap()).collect();
        assert_eq!(names, ["clip.avi#1", "clip.avi#3", "clip.avi#5"]);
        let arguments = std::fs::read_to_string(place.path("writer.args")).unwrap();
        assert!(arguments.contains(&format!("-video_size {width}x{height} -framerate 10/2")), "{arguments}");
    }

    #[test]
    fn what_goes_wrong_with_videos_is_said() {
        let (place, ..) = with_ffmpeg(0);
        place.write("a.png", SAMPLE_IMAGE);
        let output = run(&place, "detect clip.avi a.png --out out");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("clip.avi: ffmpeg reads no frame of it: not a video"), "{}", stderr(&output));
        assert!(place.path("out/a.png").is_file() && place.path("out/failed.jsonl").is_file());
        let output = place.command("detect clip.avi").env("YOLO9_FFMPEG", "nowhere").output().unwrap();
        assert!(
            stderr(&output).contains("there is no program at the path that YOLO9_FFMPEG gives"),
            "{}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(2));
        place.fails("detect clip.avi --out x --resume", 1);
        place.fails("detect clip.avi --out x --shard 1/2", 1);
        place.fails("detect bin clip.avi none.mp4 --resume --out x", 1);
        // In a folder, too; and a run in which nothing could be processed leaves no folder.
        place.write("folder/clip.mp4", b"");
        let output = run(&place, "detect folder");
        assert!(stderr(&output).contains("folder/clip.mp4: ffmpeg reads no frame of it"), "{}", stderr(&output));
        assert!(!stderr(&output).contains("Results saved") && !place.path("runs").exists());
        place.fails("detect folder --shard 1/2", 3);
        place.fails("detect 17", 2);
    }
}
