//! Runs that end early, runs in parts: what comes out in the end is what one undisturbed run gives, byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::workdir::{Workdir, stderr, stdout};
use yolo9::embedded::SAMPLE_IMAGE;

const OPTIONS: &str = "--recursive --txt --save-crop --html --imgsz 320";

/// Twelve images of two sizes, and two that are broken.
fn place() -> Workdir {
    let place = Workdir::new();
    let sample = image::load_from_memory(SAMPLE_IMAGE).unwrap();
    let small = sample.crop_imm(100, 50, 700, 500);
    let mut png = std::io::Cursor::new(Vec::new());
    small.write_to(&mut png, image::ImageFormat::Png).unwrap();
    for number in 0..12 {
        let sub = if number % 3 == 0 { "in/sub" } else { "in" };
        match number % 2 {
            0 => place.write(&format!("{sub}/{number}.jpg"), SAMPLE_IMAGE),
            _ => place.write(&format!("{sub}/{number}.png"), png.get_ref()),
        }
    }
    place.write("in/5b.jpg", &SAMPLE_IMAGE[..5000]);
    place.write("in/8b.png", b"no image");
    place
}

fn formats(folder: &str) -> String {
    format!("--json {folder}/a.json --jsonl {folder}/a.jsonl --csv {folder}/a.csv --coco {folder}/a.coco")
}

/// Every file below a folder with its content, the journal's first line (which names the shard) left out.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files.insert(path.strip_prefix(root).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
        }
    }
    files
}

fn assert_equal(found: &Path, expected: &Path) {
    let (found, expected) = (contents(found), contents(expected));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, bytes) in expected {
        assert!(found[&path] == bytes, "{} differs", path.display());
    }
}

/// The undisturbed run.
fn whole(place: &Workdir) -> PathBuf {
    let output = place.run(&format!("-q detect in --out whole {OPTIONS} {}", formats("whole")));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let folder = place.path("whole");
    let failed = std::fs::read_to_string(folder.join("failed.jsonl")).unwrap();
    let inputs: Vec<serde_json::Value> = failed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&inputs[0]["image"], &inputs[1]["image"]), (&"in/5b.jpg".into(), &"in/8b.png".into()));
    assert!(inputs[0]["error"].as_str().unwrap().contains("end marker"));
    folder
}

#[test]
fn killed_at_any_moment_a_run_is_continued_exactly() {
    let place = place();
    let expected = whole(&place);
    let command = format!("-q detect in --resume --out out {OPTIONS} {}", formats("out"));
    // The same order of inputs, whatever was killed when; milliseconds after the start.
    let mut random = fastrand::Rng::with_seed(11);
    let mut kills = 0;
    for _ in 0..10 {
        let mut child = place.command(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(100..500)));
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0, "every run was faster than its kill");
    let output = place.run(&command);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    // What a kill left of files that were being written.
    for folder in ["", "sub", "labels", "labels/sub"] {
        for entry in std::fs::read_dir(place.path("out").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with(".yolo9-") {
                panic!("{} is left over", path.display());
            }
        }
    }
    assert_equal(&place.path("out"), &expected);

    // Once more changes nothing, and processes nothing.
    let again = place.run(&command.replace("-q ", ""));
    assert_eq!(stdout(&again), "");
    assert!(stderr(&again).contains("Finished before: 14 of 14 images"), "{}", stderr(&again));
    assert_equal(&place.path("out"), &expected);
}

#[test]
fn another_run_is_not_continued() {
    let place = place();
    whole(&place);
    place.fails("detect in --resume --out whole --recursive", 1);
    std::fs::remove_file(place.path("in/1.png")).unwrap();
    place.fails(&format!("detect in --resume --out whole {OPTIONS}"), 1);
    place.fails("detect in --resume", 1);
    place.fails("detect in --shard 3/2", 1);
}

#[test]
fn shards_make_the_whole_run() {
    let place = place();
    let expected = whole(&place);
    for part in 1..=3 {
        let output = place.run(&format!("-q detect in --out part{part} --shard {part}/3 {OPTIONS}"));
        assert!(matches!(output.status.code(), Some(0 | 2)), "{}", stderr(&output));
    }
    let merged = format!("merge part3 part1 part2 --html --out merged {}", formats("merged"));
    let output = place.run(&merged);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("14 images of 3 shards, 2 failed"), "{}", stderr(&output));
    assert_equal(&place.path("merged"), &expected);

    place.fails("merge part1 part3 --out x", 1);
    place.fails("merge part1 part2 --out x", 1);
    place.fails("merge part1 part1 part2 part3 --out x", 1);
    place.fails("merge part1 part2 part3 in --out x", 1);
    place.fails("merge whole part2 --out x", 1);
    place.fails("merge part1 part2 part3 --out part1 --exist-ok", 1);
    let drawn = place.list("part2").into_iter().find(|path| path.extension().is_some_and(|e| e != "html")).unwrap();
    std::fs::rename(&drawn, place.path("kept")).unwrap();
    place.fails("merge part1 part2 part3 --out x", 1);
    std::fs::rename(place.path("kept"), &drawn).unwrap();
    // A shard that was interrupted.
    let journal = place.path("part2/.journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, &text[..text.len() - 10]).unwrap();
    place.fails("merge part1 part2 part3 --out x", 1);
    assert!(!place.path("x").exists());
}

#[test]
fn a_shard_may_be_empty() {
    let place = Workdir::new();
    place.write("a.jpg", SAMPLE_IMAGE);
    for part in 1..=3 {
        place.succeeds(&format!("-q detect a.jpg --no-draw --shard {part}/3 --out part{part}"));
    }
    place.succeeds("-q merge part1 part2 part3 --out all --csv all.csv");
    assert!(std::fs::read_to_string(place.path("all.csv")).unwrap().lines().count() > 20);
    place.fails("merge part1 part2 part3 --out h --html", 1);
}

/// Names are bytes on Unix; results stay apart, and the journal, which is text, finds them again.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_text_survive() {
    use std::os::unix::ffi::OsStrExt;
    let place = Workdir::new();
    for name in [&b"in/bad\xff.jpg"[..], b"in/bad\xfe.jpg"] {
        place.write("x", b"");
        std::fs::create_dir_all(place.path("in")).unwrap();
        std::fs::write(place.path("in").parent().unwrap().join(std::ffi::OsStr::from_bytes(name)), SAMPLE_IMAGE)
            .unwrap();
    }
    let run = "-q detect in --html --txt --out out --jsonl out/a.jsonl";
    place.succeeds(run);
    let lines = std::fs::read_to_string(place.path("out/a.jsonl")).unwrap();
    assert!(lines.contains(r#""in/bad\\xfe.jpg""#) && lines.contains(r#""in/bad\\xff.jpg""#), "{lines}");
    let before = contents(&place.path("out"));
    place.succeeds(&format!("{run} --resume"));
    assert!(before == contents(&place.path("out")));
    for part in 1..=2 {
        place.succeeds(&format!("-q detect in --html --txt --out part{part} --shard {part}/2"));
    }
    place.succeeds("-q merge part1 part2 --html --out merged --jsonl merged/a.jsonl");
    assert_equal(&place.path("merged"), &place.path("out"));
}

/// `| head -1` ends what it reads, not the run that writes other files too.
#[test]
fn a_reader_that_leaves_ends_nothing_else() {
    use std::io::{BufRead, BufReader};
    let place = place();
    let mut command = place.command("-q detect in --recursive --imgsz 320 --out out --csv out/a.csv --jsonl -");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "two inputs are broken");
    assert!(place.path("out/a.csv").is_file() && place.path("out/failed.jsonl").is_file());
    // All images, with those in the folder below.
    assert_eq!(place.list("out").len() + place.list("out/sub").len(), 12 + 3);
    // Where nothing else is written, there is nothing to go on for.
    let mut command = place.command("-q detect in --no-draw --imgsz 320 --jsonl -");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_first_failure_can_end_a_run() {
    let place = place();
    let output = place.run("-q detect in --no-draw --fail-fast --workers 1 --jsonl a.jsonl");
    assert_eq!(output.status.code(), Some(2));
    let done = std::fs::read_to_string(place.path("a.jsonl")).unwrap().lines().count();
    assert!((3..8).contains(&done), "{done}");
}

/// As `xargs -P` does with --exist-ok: one has the journal, the others do without.
#[test]
fn several_runs_may_share_a_folder() {
    let place = place();
    let start = |input: &str| {
        let command = format!("-q detect {input} --out out --exist-ok --conf 0.5");
        place.command(&command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let runs = ["in/1.png", "in/2.jpg", "in/4.jpg", "in/5.png"].map(start);
    for mut run in runs {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    assert_eq!(place.list("out").len(), 4);
}
