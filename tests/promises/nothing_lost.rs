//! An interrupted, failing or hurried run loses no image.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::common::workdir::{Workdir, stderr};
use yolo9::embedded::SAMPLE_IMAGE;

fn journal(place: &Workdir, out: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(place.path(out).join(".journal.jsonl")).unwrap_or_default();
    let whole = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    whole.skip(1).collect()
}

fn images(count: usize) -> Workdir {
    let place = Workdir::new();
    for n in 0..count {
        place.write(&format!("in/{n:03}.jpg"), SAMPLE_IMAGE);
    }
    place
}

const RUN: &str = "-q detect in --no-draw --txt --json out/all.json --out out";

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    // A process that has ended already is no failure.
    let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).stderr(Stdio::null()).status();
}

/// Every file of a folder with its content.
#[cfg(unix)]
fn tree(folder: &std::path::Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// How often, for more than a test of a minute: `YOLO9_SIGNAL_TRIALS=200 cargo test --test promises twice`.
#[cfg(unix)]
#[test]
fn asking_twice_to_stop_loses_no_image() {
    let trials: u64 = std::env::var("YOLO9_SIGNAL_TRIALS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let place = images(24);
    place.succeeds(RUN);
    let expected = tree(&place.path("out"));
    let mut random = fastrand::Rng::with_seed(7);
    let mut interrupted = 0;
    for trial in 0..trials {
        std::fs::remove_dir_all(place.path("out")).unwrap();
        let mut child = place.command(RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // As soon as there is something to lose, and a little later.
        while !place.path("out/.journal.jsonl").exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..300)));
        let name = if random.bool() { "INT" } else { "TERM" };
        signal(&child, name);
        std::thread::sleep(Duration::from_micros(random.u64(0..50_000)));
        signal(&child, name);
        let status = child.wait().unwrap();
        interrupted += u64::from(status.code() == Some(130));
        assert!(journal(&place, "out").iter().all(|record| record.get("error").is_none()), "trial {trial}");
        if !place.path("out/.journal.jsonl").exists() {
            // Ended before there was anything to finish.
            let _ = std::fs::remove_dir_all(place.path("out"));
        }
        let output = place.run(&format!("{RUN} --resume"));
        assert_eq!(output.status.code(), Some(0), "trial {trial}: {}", stderr(&output));
        let found = tree(&place.path("out"));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "trial {trial}");
        assert!(found == expected, "trial {trial}: the files differ");
    }
    assert!(interrupted > 0, "no run was interrupted");
}

#[cfg(target_os = "linux")]
#[test]
fn failures_of_the_system_are_not_those_of_an_image() {
    let place = images(6);
    // Reading the beginning of this is an input or output error.
    let broken = place.path("in/002.jpg");
    std::fs::remove_file(&broken).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &broken).unwrap();
    let output = place.run(RUN);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("in/002.jpg: cannot be read: Input/output error"), "{}", stderr(&output));
    let noted: Vec<_> = journal(&place, "out").iter().map(|record| record["index"].as_u64().unwrap()).collect();
    assert_eq!(noted, [0, 1, 3, 4, 5]);
    place.fails("merge out --out all", 1);
    // Whatever was wrong is mended. It is tried again without being asked for, and takes its place.
    std::fs::remove_file(&broken).unwrap();
    place.write("in/002.jpg", SAMPLE_IMAGE);
    place.succeeds(&format!("{RUN} --resume"));
    let resumed = tree(&place.path("out"));
    std::fs::remove_dir_all(place.path("out")).unwrap();
    place.succeeds(RUN);
    assert!(tree(&place.path("out")) == resumed, "a gap that was filled leaves a trace");
}

#[test]
fn images_that_failed_are_processed_again_when_asked_for_and_changed_ones_always() {
    let place = images(5);
    place.write("in/001.jpg", b"\xff\xd8\xff damaged");
    place.write("in/003.jpg", b"no image");
    assert_eq!(place.run(RUN).status.code(), Some(2));
    let failed = |place: &Workdir| {
        let records = journal(place, "out");
        records.iter().filter(|record| record.get("error").is_some()).count()
    };
    assert_eq!(failed(&place), 2);
    // Nothing has changed: they are not tried.
    assert_eq!(place.run(&format!("{RUN} --resume")).status.code(), Some(2));
    // One is mended, and noticed by its size and time; the other one is asked for.
    place.write("in/001.jpg", SAMPLE_IMAGE);
    let output = place.run(&RUN.replace("-q ", "").replace("--out out", "--out out --resume"));
    assert!(stderr(&output).contains("1 image has another size or time"), "{}", stderr(&output));
    assert_eq!((output.status.code(), failed(&place)), (Some(2), 1));
    let output = place.run(&RUN.replace("-q ", "").replace("--out out", "--out out --resume --retry-failed"));
    assert!(stderr(&output).contains("To be processed again after a failure: 1 image"), "{}", stderr(&output));
    assert_eq!(failed(&place), 1);
    place.write("in/003.jpg", SAMPLE_IMAGE);
    place.succeeds(&format!("{RUN} --resume"));
    // As if nothing had ever been wrong.
    let resumed = std::fs::read(place.path("out/all.json")).unwrap();
    let log = std::fs::read(place.path("out/.journal.jsonl")).unwrap();
    std::fs::remove_dir_all(place.path("out")).unwrap();
    place.succeeds(RUN);
    assert_eq!(std::fs::read(place.path("out/all.json")).unwrap(), resumed);
    assert_eq!(std::fs::read(place.path("out/.journal.jsonl")).unwrap(), log);
    assert!(!place.path("out/failed.jsonl").exists());
}

#[test]
fn an_image_that_is_searched_again_leaves_no_files_of_its_old_content() {
    let place = images(2);
    let options = "-q detect in --txt --save-crop --html --out out";
    place.succeeds(options);
    assert!(place.path("out/labels/001.txt").exists());
    // Nothing is to be seen on it any more.
    image::RgbImage::new(640, 480).save(place.path("in/001.jpg")).unwrap();
    place.succeeds(&format!("{options} --resume"));
    let resumed = tree(&place.path("out"));
    std::fs::remove_dir_all(place.path("out")).unwrap();
    place.succeeds(options);
    let searched_once = tree(&place.path("out"));
    assert_eq!(resumed.keys().collect::<Vec<_>>(), searched_once.keys().collect::<Vec<_>>());
}

/// A stream that never sends anything: the run ends at the first signal, and takes its ffmpeg along.
#[cfg(target_os = "linux")]
#[test]
fn a_silent_stream_ends_with_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let place = Workdir::new();
    for (name, body) in [("ffprobe", "exit 1"), ("ffmpeg", "echo $$ > pid; exec sleep 600")] {
        place.write(&format!("bin/{name}"), format!("#!/bin/sh\n{body}\n").as_bytes());
        std::fs::set_permissions(place.path(&format!("bin/{name}")), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for signals in [1, 2] {
        let _ = (std::fs::remove_file(place.path("pid")), std::fs::remove_dir_all(place.path("out")));
        let mut command = place.command("-q detect udp://127.0.0.1:1 --out out");
        command.env("YOLO9_FFMPEG", place.path("bin/ffmpeg")).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let pid = loop {
            match std::fs::read_to_string(place.path("pid")) {
                Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        for _ in 0..signals {
            signal(&child, "TERM");
        }
        let start = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(10), "still there after {signals} signals");
            std::thread::sleep(Duration::from_millis(20));
        }
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // One that nobody has waited for yet is dead all the same.
        assert!(state.is_empty() || state.contains(") Z "), "ffmpeg goes on after {signals} signals: {state}");
    }
}

/// Files of at most 4 kB: results of the first images fit.
#[cfg(unix)]
#[test]
fn results_are_whole_when_there_is_no_more_room() {
    let place = images(6);
    let binary = place.command("x").get_program().to_owned();
    let options = "-q detect in --no-draw --out out --json out/r.json --coco out/c.json --jsonl out/r.jsonl";
    let mut shell = Command::new("sh");
    // Ignored, the signal becomes an error of the write.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(&binary).args(options.split(' '));
    let output = shell.current_dir(place.path("")).env("YOLO9_CONFIG", "").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be written"), "{}", stderr(&output));
    for file in ["out/r.json", "out/c.json"] {
        let whole: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(place.path(file)).unwrap()).unwrap();
        assert!(!whole.is_empty(), "{file}");
    }
    let lines = std::fs::read_to_string(place.path("out/r.jsonl")).unwrap();
    assert!(
        lines.lines().count() >= 1 && lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    place.succeeds(&format!("{options} --resume"));
    let all: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(place.path("out/r.json")).unwrap()).unwrap();
    assert_eq!(all.len(), 6);
}
