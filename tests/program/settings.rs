//! `yolo9.toml`, and stderr for programs.

use std::process::Output;

use crate::common::workdir::{Workdir, stderr, stdout};
use serde_json::Value;
use yolo9::embedded::{SAMPLE_DETECTIONS, SAMPLE_IMAGE};

/// With the settings of the folder and of a home of its own.
fn run(place: &Workdir, arguments: &str) -> Output {
    let mut command = place.command(arguments);
    // The library was fetched into the cache of the real home.
    let cache = yolo9::cache_folder().unwrap();
    command.env_remove("YOLO9_CONFIG").env("YOLO9_CACHE", cache).env("HOME", place.path("home"));
    command.env("XDG_CONFIG_HOME", place.path("home/.config")).output().unwrap()
}

fn rows(output: &Output) -> usize {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    stdout(output).lines().count()
}

#[test]
fn what_is_nearer_goes_before_what_is_farther() {
    let place = Workdir::new();
    assert_eq!(rows(&run(&place, "detect --no-draw")), SAMPLE_DETECTIONS);
    place.write("home/.config/yolo9/yolo9.toml", b"conf = 0.9\nno-draw = true\n");
    let of_home = rows(&run(&place, "detect"));
    assert!((1..SAMPLE_DETECTIONS).contains(&of_home), "{of_home}");
    assert!(!place.path("runs").exists(), "no-draw");
    // The folder, then the command line.
    place.write(
        "yolo9.toml",
        b"[detect]\nconf = 0.94 # of the sample, three\nclasses = [\"qr\", 5]\n[bench]\nimgsz = 320\n",
    );
    let output = run(&place, "detect");
    assert_eq!(rows(&output), 3);
    assert!(
        stderr(&output).contains("yolo9.toml: conf = 0.94, classes = [\"qr\", 5] (--no-config"),
        "{}",
        stderr(&output)
    );
    assert_eq!(rows(&run(&place, "detect --conf 0.25 --classes aruco")), 3);
    assert_eq!(rows(&run(&place, "detect --no-config --no-draw")), SAMPLE_DETECTIONS);

    let shown = stdout(&run(&place, "config"));
    assert!(
        shown.contains("# yolo9.toml\n[detect]\nconf = 0.94\nclasses = [\"qr\", 5]\n[bench]\nimgsz = 320\n"),
        "{shown}"
    );
    let shown = stdout(&run(&place, "config detect"));
    let line = |option: &str| shown.lines().find(|line| line.starts_with(option)).unwrap().to_owned();
    assert!(line("conf ").contains(" 0.94 ") && line("conf ").ends_with(" yolo9.toml"), "{shown}");
    assert!(line("no-draw ").ends_with("home/.config/yolo9/yolo9.toml") && line("imgsz ").ends_with("default"));
    assert!(stdout(&run(&place, "--no-config config")).contains("# no settings: looked for"));
}

#[test]
fn mistakes_name_the_file_and_what_was_meant() {
    let place = Workdir::new();
    for (text, message) in [
        ("conff = 1", "yolo9.toml: conff: no command has an option --conff; did you mean `conf`?"),
        ("[detekt]\nconf = 1", "yolo9.toml: [detekt]: there is no such command; did you mean `detect`?"),
        ("[bench]\nconf = 1", "yolo9.toml: conf: `yolo9 bench` does not have an option --conf"),
        ("a = 1\nconf = = 2", "yolo9.toml: line 2: "),
        ("[detect]\nconf = 2", "yolo9.toml: invalid value '2' for '--conf <0..1>': `2` is not a number from 0 to 1"),
        ("no-draw = 3", "yolo9.toml: no-draw = 3: expected true or false"),
        ("log = \"xml\"", "yolo9.toml: invalid value 'xml' for '--log <text|json>'"),
        ("[detect.deep]\nconf = 1", "yolo9.toml: deep: expected text, a number, true or false"),
    ] {
        place.write("yolo9.toml", text.as_bytes());
        let output = run(&place, "detect");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(stderr(&output).contains(message), "{text}: {}", stderr(&output));
    }
    for (text, message) in [
        ("[detect]\nimgsz = [1, 2, 3]", "yolo9.toml: imgsz = [1, 2, 3]: expected one value"),
        ("verbose = true", "yolo9.toml: verbose = true: expected a number"),
    ] {
        place.write("yolo9.toml", text.as_bytes());
        assert!(stderr(&run(&place, "detect")).contains(message), "{text}: {}", stderr(&run(&place, "detect")));
    }
    // One name, two kinds of option; a size of two numbers.
    place.write("home/.config/yolo9/yolo9.toml", b"json = \"a.json\"\n");
    place.write("yolo9.toml", b"[detect]\nimgsz = [96, 128]\nno-draw = true\n");
    assert_eq!(run(&place, "detect").status.code(), Some(0));
    let images: Vec<Value> = serde_json::from_slice(&std::fs::read(place.path("a.json")).unwrap()).unwrap();
    assert_eq!(images[0]["input"], serde_json::json!({ "width": 128, "height": 96 }));
    assert_eq!(run(&place, "models").status.code(), Some(0));
    place.write("yolo9.toml", b"verbose = 1\n[detect]\nsave-conf = true");
    assert_eq!(run(&place, "configs").status.code(), Some(0));
}

#[test]
fn every_line_for_programs_is_an_object() {
    let place = Workdir::new();
    place.write("in/a.jpg", SAMPLE_IMAGE);
    place.write("in/b.jpg", b"no image");
    let output = place.run("--log json detect in --out out");
    assert_eq!(output.status.code(), Some(2));
    let events: Vec<Value> = stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["time"].as_f64().unwrap() > 1.7e9 && event["level"].is_string()));
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let [image] = of("image")[..] else { panic!("{events:?}") };
    assert_eq!((&image["image"], &image["objects"]), (&"in/a.jpg".into(), &SAMPLE_DETECTIONS.into()));
    assert!(image["milliseconds"]["inference"].as_f64().unwrap() > 0.0);
    let [failure] = of("failure")[..] else { panic!("{events:?}") };
    assert_eq!((&failure["image"], &failure["level"]), (&"in/b.jpg".into(), &"error".into()));
    let end = of("end")[0];
    assert_eq!((&end["total"], &end["failed"], &end["interrupted"]), (&2.into(), &1.into(), &false.into()));

    let output = place.run("--log json detect none.jpg");
    let error: Value = serde_json::from_str(stderr(&output).lines().next().unwrap()).unwrap();
    assert_eq!((&error["event"], &error["image"]), (&"failure".into(), &"none.jpg".into()));
    let output = place.run("--log json detect --weights nothing");
    let error: Value = serde_json::from_str(stderr(&output).lines().next().unwrap()).unwrap();
    assert_eq!((&error["level"], &error["event"]), (&"error".into(), &"message".into()));
}
