//! `yolo9 train` from the command line: it learns, never loses work, and goes back to PyTorch.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::workdir::{Workdir, stderr, stdout};
use image::{Rgb, RgbImage};
use yolo9::checkpoint::Checkpoint;

/// GELAN with few channels.
const CONFIG: &str = "\
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, ELAN1, [16, 16, 8]]
  - [-1, 1, AConv, [24]]
  - [-1, 1, RepNCSPELAN4, [24, 24, 12, 1]]
  - [-1, 1, AConv, [32]]
  - [-1, 1, RepNCSPELAN4, [32, 32, 16, 1]]
head:
  - [-1, 1, SPPELAN, [32, 16]]
  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 1, RepNCSPELAN4, [24, 24, 12, 1]]
  - [[10, 7], 1, DDetect, [nc]]
";

/// Eight images with a red square and a blue bar on grey, in YOLO's layout.
fn dataset(place: &Workdir) {
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..8 {
        let mut image = RgbImage::from_fn(96, 96, |x, y| Rgb([(100 + (x * 7 + y * 13 + number * 31) % 40) as u8; 3]));
        let mut labels = String::new();
        for class in 0..2u32 {
            let (width, height) = if class == 0 { (24 + random.u32(..16), 24 + random.u32(..16)) } else { (40, 26) };
            let (left, top) = (random.u32(..96 - width), 2 + random.u32(..46 - height) + 48 * class);
            let colour = if class == 0 { Rgb([220, 30, 30]) } else { Rgb([30, 60, 220]) };
            (left..left + width).for_each(|x| (top..top + height).for_each(|y| image.put_pixel(x, y, colour)));
            let share = |start: u32, length: u32| (f64::from(start) + f64::from(length) / 2.0) / 96.0;
            let [w, h] = [width, height].map(|side| f64::from(side) / 96.0);
            labels += &format!("{class} {:.6} {:.6} {w:.6} {h:.6}\n", share(left, width), share(top, height));
        }
        place.write(&format!("set/labels/{number}.txt"), labels.as_bytes());
        std::fs::create_dir_all(place.path("set/images")).unwrap();
        image.save(place.path(&format!("set/images/{number}.png"))).unwrap();
    }
    place.write("data.yaml", b"path: set\ntrain: images\nval: images\nnames: [square, bar]\n");
    place.write("tiny.yaml", CONFIG.as_bytes());
}

const PLAIN: &str = "--no-augmentation --hyp warmup_epochs=0";

/// The scores of the last line of results.csv.
fn last_scores(place: &Workdir, folder: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(place.path(&format!("{folder}/results.csv"))).unwrap();
    text.lines().last().unwrap().split(',').skip(5).map(|number| number.parse().unwrap()).collect()
}

/// Asserts that each part stands in what was said.
fn says_all(output: &std::process::Output, parts: &[&str]) {
    let said = stderr(output);
    parts.iter().for_each(|part| assert!(said.contains(part), "{part}: {said}"));
}

#[test]
fn eight_images_are_learned_by_heart() {
    let place = Workdir::new();
    dataset(&place);
    let output = place.succeeds(&format!(
        "train --data data.yaml --config tiny.yaml --epochs 60 --batch 2 --nominal-batch 2 --imgsz 96 --optimizer adamw --hyp lr0=0.005 {PLAIN} --out run"
    ));
    let scores = last_scores(&place, "run");
    assert!(scores[2] > 0.95, "mAP50 {} after:\n{}", scores[2], stderr(&output));
    for name in ["best.safetensors", "last.safetensors", "report.html", "train.toml", "train-batch0.jpg"] {
        assert!(place.path(&format!("run/{name}")).metadata().unwrap().len() > 0, "{name}");
    }
    // What was trained is a model like others.
    let rows = stdout(&place.succeeds("-q detect set/images/0.png -w run/best.safetensors --imgsz 96 --no-draw"));
    assert!(rows.contains("square") && rows.contains("bar"), "{rows}");
    // And one of PyTorch's.
    place.succeeds("convert run/best.safetensors -o best.pt");
    let (ours, theirs) = (open(&place, "run/best.safetensors"), open(&place, "best.pt"));
    assert!(ours.tensors().keys().eq(theirs.tensors().keys()));
    let config = yolo9::config::ModelConfig::from_yaml("tiny", CONFIG).unwrap();
    let all = yolo9::architecture::Architecture::new(&config).unwrap().parameters();
    assert!(all.iter().all(|parameter| theirs.shape(&parameter.name) == Some(&parameter.shape)));
    assert_eq!(all.len(), theirs.tensors().len(), "a strict loader wants neither more nor less");
}

fn open(place: &Workdir, name: &str) -> Checkpoint {
    Checkpoint::open(&place.path(name)).unwrap()
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

const RESULTS: [&str; 4] = ["best.safetensors", "last.safetensors", "results.csv", "state.safetensors"];

/// Random augmentation, accumulation over batches and momentum: all that has to be where it was.
#[test]
fn killed_runs_end_with_the_bytes_of_an_undisturbed_one() {
    let place = Workdir::new();
    dataset(&place);
    let settings = "--data data.yaml --config tiny.yaml --epochs 6 --batch 2 --imgsz 96 --threads 2 --seed 3";
    place.succeeds(&format!("-q train {settings} --out whole --workers 1"));
    let mut random = fastrand::Rng::with_seed(1);
    let mut child = place.command(&format!("-q train {settings} --out cut")).spawn().unwrap();
    // Something to go on from.
    let state = place.path("cut/state.safetensors");
    let start = Instant::now();
    while !state.exists() && start.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    for kill in 0..5 {
        std::thread::sleep(Duration::from_millis(random.u64(..400)));
        child.kill().unwrap();
        child.wait().unwrap();
        let workers = 1 + kill % 3;
        child = place.command(&format!("-q train --resume cut --workers {workers}")).spawn().unwrap();
    }
    assert!(child.wait().unwrap().success());
    for name in RESULTS {
        assert!(bytes(&place.path("whole"), name) == bytes(&place.path("cut"), name), "{name} differs");
    }
}

/// Asked to stop, a run ends after the batch, and goes on from there.
#[cfg(unix)]
#[test]
fn interrupted_runs_go_on_within_the_epoch() {
    let place = Workdir::new();
    dataset(&place);
    let settings = "--data data.yaml --config tiny.yaml --epochs 40 --batch 1 --imgsz 96 --threads 1";
    let child = place.command(&format!("train {settings} --out cut"));
    let mut child = { child }.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !place.path("cut/train-batch1.jpg").exists() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: a signal to our own child, which has not been waited for.
    #[allow(unsafe_code, reason = "the standard library sends no signals")]
    let sent = unsafe { libc::kill(pid, libc::SIGINT) };
    assert_eq!(sent, 0);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("yolo9 train --resume cut"), "{}", stderr(&output));
    assert!(place.path("cut/state.safetensors").exists());
}

#[test]
fn a_new_run_leaves_nothing_of_an_earlier_one() {
    let place = Workdir::new();
    dataset(&place);
    let options = format!("--config tiny.yaml --batch 4 --imgsz 64 {PLAIN} --out run");
    place.succeeds(&format!("train --data data.yaml --epochs 1 {options}"));
    // Whoever has the lock is at work.
    let lock = std::fs::File::open(place.path("run/train.lock")).unwrap();
    lock.lock().unwrap();
    place.fails(&format!("train --data data.yaml --epochs 1 {options} --exist-ok"), 1);
    drop(lock);
    // Interrupted before anything is saved: there is nothing to resume, least of all the earlier run.
    place.write("set/labels/0.txt", b"0 0.5 0.5 0.3 0.3\n7 0.5 0.5 0.3 0.3\n");
    std::fs::remove_file(place.path("set/images/1.png")).unwrap();
    place.write("set/images/1.png", b"no image");
    let output = place.succeeds(&format!("train --data data.yaml --epochs 1 --hyp lr0=0 {options} --exist-ok"));
    says_all(
        &output,
        &[
            "1 training image left out, which cannot be read",
            "1 problem in the training labels",
            "1 problem in the validation labels",
            "1 validation image left out, which cannot be read",
            "training and validation are the same images",
        ],
    );
    place.write("data2.yaml", b"path: set\ntrain: images\nval: broken\nnames: [square, bar]\n");
    place.write("set/broken/0.png", b"no image");
    place.write("set/broken/0.txt", b"0 0.5 0.5 0.3 0.3\n");
    place.fails("train --data data2.yaml --config tiny.yaml --imgsz 64 --epochs 1 --out other", 1);
    assert!(!place.path("other").exists());
}

#[test]
fn only_dysample_moves_if_that_is_asked_for() {
    let place = Workdir::new();
    dataset(&place);
    place.write(
        "dysample.yaml",
        CONFIG.replace("nn.Upsample, [None, 2, 'nearest']", "DySample, [2, 'lp', 4, False]").as_bytes(),
    );
    place.succeeds("-q train --data data.yaml --config tiny.yaml --epochs 1 --batch 64 --imgsz 96 --out first");
    let only_dysample = "train --data data.yaml --weights first/last.safetensors --config dysample.yaml --lift nearest \
                         --train-only dysample --epochs 2 --batch 3 --nominal-batch 3 --imgsz 96";
    place.succeeds(&format!("{only_dysample} {PLAIN} --out second"));
    let (first, second) = (open(&place, "first/last.safetensors"), open(&place, "second/last.safetensors"));
    for name in first.tensors().keys().filter(|name| !name.ends_with(".num_batches_tracked")) {
        assert!(first.same_numbers(&second, name).unwrap(), "{name} moved");
    }
    let weight = second.read_f32("model.8.offset.weight").unwrap();
    assert!(weight.iter().any(|weight| *weight != 0.0), "no offset moved");
    // Maps of frozen layers are kept from epoch to epoch unless there is no room, and that changes nothing.
    let output = place.succeeds(&format!("{only_dysample} {PLAIN} --cache 0 --out without-cache"));
    assert!(stderr(&output).contains("computed once per image"), "{}", stderr(&output));
    assert!(
        bytes(&place.path("second"), "last.safetensors") == bytes(&place.path("without-cache"), "last.safetensors")
    );
    let augmented = place.succeeds(&format!("{only_dysample} --out augmented"));
    assert!(stderr(&augmented).contains("with --no-augmentation"), "{}", stderr(&augmented));
    place.succeeds(
        "-q train --data data.yaml --weights first/last.safetensors --freeze backbone --epochs 1 --batch 64 --imgsz 96 \
         --hyp warmup_epochs=0 --out third",
    );
    let third = open(&place, "third/last.safetensors");
    assert!(first.same_numbers(&third, "model.6.cv1.conv.weight").unwrap());
    assert!(!first.same_numbers(&third, "model.10.cv1.conv.weight").unwrap());
}

#[test]
fn what_cannot_be_trained_is_said_before_the_work() {
    let place = Workdir::new();
    dataset(&place);
    place.write(
        "set/labels/0.txt",
        b"0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n0 nan 0.5 0.2 0.2\n0 0.5 0.5 3 0.2\n",
    );
    place.write("set/images/1.png", b"no image");
    let common = "train --data data.yaml --imgsz 96 --epochs 1";
    place.fails(&format!("{common} --out x"), 1);
    place.fails(&format!("{common} --config tiny.yaml --device cuda:9 --out x"), 1);
    place.fails(&format!("{common} --config tiny.yaml --train-only dysample --out x"), 1);
    place.fails(&format!("{common} --config tiny.yaml --freeze 12 --out x"), 1);
    place.fails(&format!("{common} --config tiny.yaml --hyp mosiac=1 --out x"), 1);
    place.fails("train --data none.yaml --config tiny.yaml --out x", 1);
    place.fails("train --resume none", 1);
    place.write("x/y", b"");
    place.fails(&format!("{common} --config tiny.yaml --out x"), 1);
    place.write("broken/state.safetensors", b"junk");
    place.fails("train --resume broken", 1);
    // What is wrong with single images and labels is listed, and the rest is trained on.
    let output = place.succeeds(&format!("{common} --config tiny.yaml --batch 8 --out run"));
    says_all(
        &output,
        &[
            "1.png",
            "line 2 repeats",
            "there is no class 7",
            "`nan` is not a number",
            "3 is not a share",
            "7 training images",
        ],
    );
    place.write("empty.yaml", b"path: nowhere\ntrain: images\nval: images\nnames: [square, bar]\n");
    place.fails("train --data empty.yaml --config tiny.yaml --out y", 1);
}
