//! Journals, and what is written again from them: `--resume` and `yolo9 merge`.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use yolo9::output::{
    GalleryImage, Header, JournalReader, Record, crop_places, gallery_part, summary, table_rows, to_json, yolo_lines,
};

/// A first line, so that most inputs get past it.
fn header() -> String {
    let header = Header {
        total: 9,
        class_names: vec!["a".into(), "../b".into()],
        written: ["drawn", "labels", "crops", "thumbnails"].map(str::to_owned).to_vec(),
        journal: Header::VERSION,
        ..Header::default()
    };
    serde_json::to_string(&header).expect("it can be written") + "\n"
}

fn read(bytes: &[u8]) {
    let Ok(Some(mut reader)) = JournalReader::new(Cursor::new(bytes)) else { return };
    let header = reader.header().clone();
    let Ok((places, _)) = reader.places() else { return };
    assert!(places.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for (index, position) in places {
        let record = reader.record_at(position).expect("it was read before");
        assert_eq!(record.index, index);
        written(&record, &header.class_names);
    }
}

fn written(record: &Record, class_names: &[String]) {
    let detections = record.detections();
    let (Some(result), Some(place)) = (record.result(&detections, class_names), record.place()) else { return };
    let stays = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    assert!(stays(place), "{place:?}");
    assert!(crop_places(&result, place).flatten().all(|crop| stays(&crop)));
    let _ = (to_json(&result), yolo_lines(&result, true), table_rows(&result), summary(&result));
    let _ = gallery_part(&[GalleryImage::new(&result, place.to_str(), None).linked("x.jpg")]);
    let line = serde_json::to_string(record).expect("it can be written");
    assert_eq!(&serde_json::from_str::<Record>(&line).expect("and read"), record);
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&[header().as_bytes(), bytes].concat());
});
