//! Nothing outside of the output folder is written, replaced or deleted, and no input anywhere.

use std::path::Path;

use super::common::workdir::{Workdir, stderr};
use yolo9::embedded::SAMPLE_IMAGE;

const QUIET: &str = "-q detect --imgsz 320";

/// All files that an image can have.
const ALL: &str = "--txt --html --save-crop";

fn contents(place: &Workdir, name: &str) -> Vec<u8> {
    std::fs::read(place.path(name)).unwrap()
}

/// A folder with images, and a file that must survive.
fn place() -> Workdir {
    let place = Workdir::new();
    place.write("a.jpg", SAMPLE_IMAGE);
    place.write("victim.txt", b"precious");
    place
}

#[test]
fn a_file_of_settings_in_the_working_folder_writes_nowhere() {
    let place = place();
    place.write("sub/b.jpg", SAMPLE_IMAGE);
    place.write("weights.pt", b"");
    place.write(
        "sub/yolo9.toml",
        b"conf = 0.5\n[detect]\ncsv = \"../victim.txt\"\nexist-ok = true\nout = \"../out\"\nno-draw = true\nnames = \"/etc/passwd\"\n\
          onnxruntime = \"x.so\"\nmax-megapixels = 100000\nweights = \"../weights.pt\"\n",
    );
    let mut command = place.command("detect b.jpg");
    let output = command
        .current_dir(place.path("sub"))
        .env_remove("YOLO9_CONFIG")
        .env("XDG_CONFIG_HOME", place.path("none"))
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for option in ["csv", "exist-ok", "out", "names", "onnxruntime", "max-megapixels", "weights"] {
        let said = stderr(&output);
        let line = said.lines().find(|line| line.contains(&format!("yolo9.toml: {option} = "))).unwrap_or_default();
        assert!(line.contains("is not taken from a file in the working folder"), "{option}: {said}");
    }
    assert!(stderr(&output).contains("yolo9.toml: conf = 0.5, no-draw = true"), "{}", stderr(&output));
    assert_eq!(contents(&place, "victim.txt"), b"precious");
    assert!(!place.path("out").exists() && !place.path("sub/runs").exists());
}

/// Parts of a run, of which the first one is tampered with.
fn parts(options: &str, change: impl Fn(&mut serde_json::Value, &mut Vec<serde_json::Value>)) -> Workdir {
    let place = place();
    for n in 0..4 {
        place.write(&format!("in/{n}.jpg"), SAMPLE_IMAGE);
    }
    for part in 1..=2 {
        place.succeeds(&format!("{QUIET} in --out p{part} --shard {part}/2 {options}"));
    }
    let journal = place.path("p1/.journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut header = lines.next().unwrap();
    let mut records: Vec<serde_json::Value> = lines.collect();
    change(&mut header, &mut records);
    let lines: Vec<String> = std::iter::once(&header).chain(&records).map(ToString::to_string).collect();
    std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
    place
}

#[test]
fn places_in_a_journal_stay_below_the_output_folder() {
    for outside in ["../victim.txt", "/etc/passwd", "labels/../../victim", "../p2/1.jpg", "", ".journal.jsonl"] {
        // With nothing but drawn images no other missing file gives the attack away.
        let place = parts("", |_, records| records[0]["place"] = outside.into());
        let before = contents(&place, "p2/1.jpg");
        for command in ["merge p1 p2 --out all", "detect in --out p1 --shard 1/2 --resume --imgsz 320"] {
            let output = place.run(command);
            // A resumed run may find its own name of a journal to be a place like others.
            if !(outside == ".journal.jsonl" && command.starts_with("detect")) {
                assert_eq!(output.status.code(), Some(1), "{outside}: {command}: {}", stderr(&output));
            }
        }
        assert_eq!(contents(&place, "victim.txt"), b"precious");
        assert_eq!(contents(&place, "p2/1.jpg"), before);
    }
}

#[test]
fn records_that_cannot_be_are_refused() {
    struct Case(fn(&mut serde_json::Value, &mut Vec<serde_json::Value>), &'static str);
    let cases = [
        Case(|_, r| r[0]["detections"] = serde_json::json!([[9999, 0.5, 1, 2, 3, 4]]), "a detection of class 9999"),
        Case(|_, r| r[0]["size"] = serde_json::json!([0, 0]), "a side of 0 pixels"),
        Case(|_, r| r[0]["index"] = 7.into(), "image 7 is none of shard 1/2"),
        Case(|h, _| h["total"] = (1u64 << 63).into(), "of different runs"),
        Case(|h, _| h["shard"] = serde_json::json!({ "part": 1, "parts": 0 }), "not a journal"),
        Case(|_, r| drop(r.pop()), "is not finished"),
    ];
    for Case(change, message) in cases {
        let place = parts(ALL, change);
        let output = place.run("merge p1 p2 --out all --coco all.json --csv all.csv --json all2.json");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(message), "{message}: {}", stderr(&output));
        assert!(!place.path("all").exists() && !place.path("all.json").exists());
    }
}

#[test]
fn merging_misses_no_file_and_replaces_no_part() {
    let place = parts(ALL, |_, _| {});
    place.succeeds("merge p1 p2 --out all --html");
    let crops = std::fs::read_dir(place.path("p1/crops/qr")).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&crops, place.path("kept")).unwrap();
    place.fails("merge p1 p2 --out all2", 1);
    std::fs::rename(place.path("kept"), &crops).unwrap();
    place.fails("merge p1 p2 --out . --exist-ok", 1);
    place.fails("merge p1 p2 --out p1/x", 1);
    place.fails("merge p1 p2 --out all3 --json p2/all.json", 1);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let place = place();
    place.write("elsewhere/a.txt", b"precious");
    let run =
        |name: &str| format!("{QUIET} a.jpg --out {name} --exist-ok --txt --html --save-crop --json {name}/x.json");
    // Links in the place of files are replaced, not followed.
    std::fs::create_dir(place.path("files")).unwrap();
    for name in ["a.jpg", "failed.jsonl", "gallery.html", "x.json"] {
        symlink(place.path("victim.txt"), place.path("files").join(name)).unwrap();
    }
    place.succeeds(&run("files"));
    // Links in the place of folders, and of the journal, are errors.
    for (folder, link, target) in [
        ("labels", "labels", "elsewhere"),
        ("crops", "crops/qr", "elsewhere"),
        ("journal", ".journal.jsonl", "victim.txt"),
    ] {
        std::fs::create_dir_all(place.path(folder).join(link).parent().unwrap()).unwrap();
        symlink(place.path(target), place.path(folder).join(link)).unwrap();
        let output = place.run(&run(folder));
        assert!(matches!(output.status.code(), Some(1 | 2)), "{folder}: {}", stderr(&output));
        assert!(stderr(&output).contains("link"), "{folder}: {}", stderr(&output));
    }
    assert_eq!(
        (contents(&place, "victim.txt"), contents(&place, "elsewhere/a.txt")),
        (b"precious".to_vec(), b"precious".to_vec())
    );
    assert_eq!(std::fs::read_dir(place.path("elsewhere")).unwrap().count(), 1);
    // A pipe does not make a run wait.
    std::fs::create_dir(place.path("pipe")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe/.journal.jsonl")).status().unwrap().success());
    assert_eq!(place.run(&run("pipe")).status.code(), Some(1));
    // Nor is a link or a pipe read as the journal of a shard.
    for folder in ["journal", "pipe"] {
        let output = place.run(&format!("merge {folder} --out all"));
        assert!(stderr(&output).contains("it is a link, has a second name, or is no"), "{}", stderr(&output));
    }
}

/// Nor does a file take the place of a pipe or a device.
#[cfg(unix)]
#[test]
fn a_pipe_is_written_to() {
    let place = place();
    place.succeeds("export codes-dysample -o plain.onnx");
    let pipe = place.path("pipe.onnx");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn(move || std::fs::read(pipe).unwrap());
    place.succeeds("export codes-dysample -o pipe.onnx --exist-ok");
    assert!(reader.join().unwrap() == contents(&place, "plain.onnx"));
    assert!(!place.path("pipe.onnx").symlink_metadata().unwrap().is_file());
}

#[test]
fn no_input_is_replaced() {
    let place = place();
    for name in [
        "out/b.jpg",
        "out/gallery/thumbs/a.jpg.jpg",
        "out/crops/qr/a.1.jpg",
        "here/.yolo9-x.jpg",
        "here/.yolo9-0123456789ab.part",
    ] {
        place.write(name, SAMPLE_IMAGE);
    }
    place.write("list.txt", b"a.jpg\n");
    place.write("c.yaml", yolo9::config::ModelConfig::builtin("gelan-c").unwrap().source.as_bytes());
    place.write("best.safetensors", yolo9::embedded::MODELS[0].bytes);
    place.write("yolo9.toml", b"");
    let inputs = [
        "a.jpg",
        "out/b.jpg",
        "out/gallery/thumbs/a.jpg.jpg",
        "out/crops/qr/a.1.jpg",
        "list.txt",
        "c.yaml",
        "best.safetensors",
        "yolo9.toml",
    ];
    let before: Vec<_> = inputs.iter().map(|input| contents(&place, input)).collect();
    place.write("x/b.jpg", SAMPLE_IMAGE);
    for options in [
        "a.jpg --out . --exist-ok",
        "a.jpg --no-draw --out o --exist-ok --json a.jpg",
        "list.txt --no-draw --out o --exist-ok --csv list.txt",
        "a.jpg --weights best.safetensors --no-draw --out o --exist-ok --json best.safetensors",
        "a.jpg --config c.yaml --weights best.safetensors --no-draw --out o --exist-ok --json c.yaml",
        "x/b.jpg out/b.jpg --out out --exist-ok",
        "a.jpg out/gallery/thumbs/a.jpg.jpg --out out --exist-ok --no-draw --html",
        "a.jpg out/crops/qr/a.1.jpg --out out --exist-ok --no-draw --save-crop",
    ] {
        let output = place.run(&format!("{QUIET} {options}"));
        assert_eq!(output.status.code(), Some(1), "{options}: {}", stderr(&output));
        let after: Vec<_> = inputs.iter().map(|input| contents(&place, input)).collect();
        assert_eq!(after, before, "{options}");
    }
    let mut command = place.command(&format!("{QUIET} a.jpg --no-draw --out o --exist-ok --csv yolo9.toml"));
    assert_eq!(command.env_remove("YOLO9_CONFIG").output().unwrap().status.code(), Some(1));
    for command in [
        "convert best.safetensors -o best.safetensors --exist-ok",
        "explain a.jpg --out a.jpg --exist-ok",
        "compare codes-nearest codes-dysample --source a.jpg --json a.jpg --exist-ok",
    ] {
        place.fails(command, 1);
    }
    // Temporary files of ours are swept away in a resumed run; inputs that are called like them are not.
    place.succeeds(&format!("{QUIET} here/.yolo9-x.jpg --no-draw --txt --out here --exist-ok"));
    place.write("here/.yolo9-ba9876543210.part", b"left by a killed run");
    place.succeeds(&format!("{QUIET} here/.yolo9-x.jpg --no-draw --txt --out here --resume"));
    assert!(place.path("here/.yolo9-x.jpg").exists() && !place.path("here/.yolo9-ba9876543210.part").exists());
}

#[test]
fn no_file_of_a_dataset_is_replaced() {
    let place = place();
    place.write("set/images/a.jpg", SAMPLE_IMAGE);
    place.write("set/labels/a.txt", b"0 0.1 0.1 0.1 0.1\n");
    place.write("set/val.txt", b"./images/a.jpg\n");
    place.write("set/data.yaml", b"val: val.txt\nnames: [qr]\n");
    let inputs = ["set/images/a.jpg", "set/labels/a.txt", "set/val.txt", "set/data.yaml"];
    let before = inputs.map(|input| contents(&place, input));
    for command in [
        "val --data set/data.yaml --json set/labels/a.txt --exist-ok",
        "val --data set/data.yaml --coco set/val.txt --exist-ok",
        "val --data set/data.yaml --json set/images/a.jpg --exist-ok",
        "val --data set/data.yaml --out set/labels --exist-ok",
        "compare codes-nearest codes-dysample --data set/data.yaml --json set/labels/a.txt --exist-ok",
    ] {
        place.fails(command, 1);
    }
    assert!(inputs.map(|input| contents(&place, input)) == before);
}

#[test]
fn results_that_would_meet_are_told_apart_before_work() {
    let place = place();
    for name in [".journal.jsonl", "failed.jsonl", "gallery.html"] {
        place.write(&format!("in/{name}"), SAMPLE_IMAGE);
    }
    let inputs = "in/.journal.jsonl in/failed.jsonl in/gallery.html a.jpg";
    place.fails(&format!("{QUIET} {inputs} --out o --json o/a.jpg"), 1);
    place.fails(&format!("{QUIET} {inputs} --out o --json o/failed.jsonl"), 1);
    place.fails(&format!("{QUIET} {inputs} --out o --json o/.journal.jsonl"), 1);
    place.succeeds(&format!("{QUIET} {inputs} --out o --html"));
    for name in [".journal-2.jsonl", "failed-2.jsonl", "gallery-2.html"] {
        assert!(contents(&place, &format!("o/{name}")).starts_with(b"\xff\xd8"), "{name}");
    }
    assert!(contents(&place, "o/.journal.jsonl").starts_with(b"{"));
}

#[test]
fn two_runs_with_one_file_leave_a_whole_one() {
    let place = place();
    for n in 0..12 {
        place.write(&format!("in/{n}.jpg"), SAMPLE_IMAGE);
    }
    let run = |out: &str| {
        let mut command =
            place.command(&format!("{QUIET} in --no-draw --threads 1 --json same.json --exist-ok --out {out}"));
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut runs = [run("x"), run("y"), run("z")];
    for child in &mut runs {
        assert!(child.wait().unwrap().success());
        let whole: Vec<serde_json::Value> = serde_json::from_slice(&contents(&place, "same.json")).unwrap();
        assert_eq!(whole.len(), 12);
    }
    let left = std::fs::read_dir(place.path("")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
