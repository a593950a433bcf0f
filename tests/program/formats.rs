//! Every format at once, from one run.

use crate::common::workdir::{Workdir, stdout};
use yolo9::embedded::{SAMPLE_DETECTIONS, SAMPLE_IMAGE};

fn read(place: &Workdir, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap()
}

#[test]
fn all_formats_of_a_run_say_the_same() {
    let place = Workdir::new();
    place.write("in/a,b.jpg", SAMPLE_IMAGE);
    place.write("in/sub/12.jpg", SAMPLE_IMAGE);
    let output = place.succeeds(
        "-q detect in --recursive --out out --txt --save-crop --json a.json --jsonl out/a.jsonl --csv a.csv --coco a.coco.json",
    );
    let both = 2 * SAMPLE_DETECTIONS;
    assert_eq!(stdout(&output).lines().count(), both);

    let lines = read(&place, "out/a.jsonl");
    let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let array: Vec<serde_json::Value> = serde_json::from_str(&read(&place, "a.json")).unwrap();
    assert_eq!(objects, array);
    assert_eq!(array[0]["detections"].as_array().unwrap().len(), SAMPLE_DETECTIONS);

    let csv = read(&place, "a.csv");
    assert_eq!(csv.lines().count(), 1 + both);
    assert!(csv.lines().nth(1).unwrap().starts_with("\"in/a,b.jpg\",3,aztec,0.96"), "{csv}");

    let coco: Vec<serde_json::Value> = serde_json::from_str(&read(&place, "a.coco.json")).unwrap();
    assert_eq!(coco.len(), both);
    assert_eq!((&coco[0]["image_id"], &coco[both - 1]["image_id"]), (&"a,b".into(), &12.into()));
    let first = &array[0]["detections"][0]["box"];
    assert_eq!(coco[0]["bbox"][0], first["x1"]);

    assert_eq!(read(&place, "out/labels/sub/12.txt").lines().count(), SAMPLE_DETECTIONS);
    let crops =
        |class: &str, folder: &str| std::fs::read_dir(place.path(&format!("out/crops/{class}/{folder}"))).unwrap();
    assert_eq!(crops("qr", "sub").count(), 7);
    assert!(place.path("out/crops/aztec/a,b.1.jpg").is_file());
    let crop = image::open(place.path("out/crops/aztec/sub/12.1.jpg")).unwrap();
    assert_eq!((crop.width(), crop.height()), (70, 74));
}

/// The images of a script of the gallery.
fn images(script: &str) -> Vec<serde_json::Value> {
    let list = script.split_once("gallery.add(").unwrap().1;
    let mut parser = serde_json::Deserializer::from_str(list).into_iter();
    parser.next().unwrap().unwrap()
}

#[test]
fn a_gallery_is_one_page_or_a_page_with_parts() {
    let place = Workdir::new();
    place.write("in/a b.jpg", SAMPLE_IMAGE);
    place.succeeds("-q detect in --html --out few");
    let page = read(&place, "few/gallery.html");
    let inside = images(page.split_once("<script>gallery").unwrap().1.replacen(".add", "gallery.add", 1).as_str());
    let [image] = &inside[..] else { panic!("{}", inside.len()) };
    assert_eq!((&image[0], &image[1], &image[2]), (&"in/a b.jpg".into(), &"a%20b.jpg".into(), &1280.into()));
    assert!(image[4].as_str().unwrap().starts_with("data:image/jpeg;base64,/9j/"));
    assert_eq!(image[5].as_array().unwrap().len(), SAMPLE_DETECTIONS);

    // More images than one part holds.
    let small = image::load_from_memory(SAMPLE_IMAGE).unwrap().resize(64, 48, image::imageops::FilterType::Nearest);
    let mut png = std::io::Cursor::new(Vec::new());
    small.write_to(&mut png, image::ImageFormat::Png).unwrap();
    (0..205).for_each(|n| place.write(&format!("many/{n}.png"), png.get_ref()));
    place.succeeds("-q detect many --html --no-draw --imgsz 32 --out parts");
    assert!(!read(&place, "parts/gallery.html").contains("data:image"));
    let parts = [1, 2].map(|part| images(&read(&place, &format!("parts/gallery/data-{part}.js"))));
    assert_eq!(parts.each_ref().map(Vec::len), [200, 5]);
    let last = &parts[1][4];
    assert_eq!((&last[0], &last[1]), (&"many/204.png".into(), &serde_json::Value::Null));
    assert!(place.path("parts").join(last[4].as_str().unwrap()).is_file());
    place.fails("detect many --html --no-draw --imgsz 32 --out parts", 1);
}

#[test]
fn formats_can_be_streamed_but_not_into_each_other() {
    let place = Workdir::new();
    let lines = stdout(&place.succeeds("-q detect --no-draw --jsonl -"));
    assert_eq!(lines.lines().count(), 1);
    assert!(serde_json::from_str::<serde_json::Value>(&lines).is_ok());
    assert_eq!(
        stdout(&place.succeeds("-q detect --no-draw --csv - --conf 1")),
        "image,class,name,confidence,x1,y1,x2,y2\n"
    );
    place.fails("detect --json - --csv -", 1);
    place.fails("detect --json a --coco ./a", 1);
    place.fails("detect --json a --coco a", 1);
}
