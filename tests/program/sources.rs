//! Where images can come from.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::common::server::{Answer, Server};
use crate::common::workdir::{Workdir, stderr, stdout};
use yolo9::embedded::{SAMPLE_DETECTIONS, SAMPLE_IMAGE};

fn with_stdin(place: &Workdir, arguments: &str, input: &[u8]) -> Output {
    let mut command = place.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn rows(output: &Output) -> usize {
    stdout(output).lines().count()
}

#[test]
fn stdin_carries_paths_or_one_image() {
    let place = Workdir::new();
    place.write("a/x.jpg", SAMPLE_IMAGE);
    let output = with_stdin(&place, "detect - --out paths", b"a/x.jpg\n# not this\nnone.jpg\n");
    assert_eq!((output.status.code(), rows(&output)), (Some(2), SAMPLE_DETECTIONS), "{}", stderr(&output));
    assert!(stderr(&output).contains("error: none.jpg: "), "{}", stderr(&output));
    assert!(place.path("paths/a/x.jpg").is_file());

    let output = with_stdin(&place, "detect - --out bytes", SAMPLE_IMAGE);
    assert_eq!((output.status.code(), rows(&output)), (Some(0), SAMPLE_DETECTIONS), "{}", stderr(&output));
    assert!(place.path("bytes/stdin.jpg").is_file());

    for (input, message) in [(&b""[..], "stdin is empty"), (b"\xff\xfe\x00", "stdin is neither paths")] {
        let output = with_stdin(&place, "detect - --out none", input);
        assert_eq!(output.status.code(), Some(3));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    assert!(!place.path("none").exists());
}

#[test]
fn images_come_from_the_web() {
    let place = Workdir::new();
    let file = || Answer::File { bytes: SAMPLE_IMAGE.to_vec(), tag: "\"x\"" };
    let missing = || Answer::Status("404 Not Found");
    // The server answers in the order of requests: one worker asks in the order of inputs.
    let server = Server::start(vec![file(), missing(), missing()]);
    let arguments = format!("detect {0}/a/b.jpg?x=1 {0}/none.jpg --workers 1 --out out", server.address);
    let output = place.run(&arguments);
    assert_eq!((output.status.code(), rows(&output)), (Some(2), SAMPLE_DETECTIONS), "{}", stderr(&output));
    assert!(stderr(&output).contains("/none.jpg: the server answers 404 Not Found"), "{}", stderr(&output));
    assert!(place.path("out/b.jpg").is_file());
    place.fails(&format!("detect --offline {}/a.jpg", server.address), 3);
}

#[test]
fn patterns_and_lists_are_expanded() {
    let place = Workdir::new();
    for name in ["photos/img_2.jpg", "photos/deep/img_10.jpg", "photos/other.jpg"] {
        place.write(name, SAMPLE_IMAGE);
    }
    place.write("photos/list.txt", b"img_2.jpg\ndeep/img_10.jpg\n");
    for input in ["photos/**/img_*.jpg", "photos/list.txt"] {
        let output = place.succeeds(&format!("detect --no-draw {input}"));
        assert_eq!(rows(&output), 2 * SAMPLE_DETECTIONS, "{input}");
    }
    place.fails("detect photos/*.webp", 3);
}
