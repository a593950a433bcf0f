//! Small files that describe large images.

use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

use super::bounded;
use super::common::workdir::{Workdir, stderr};

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

/// A PNG file of one colour, with other chunks before its pixels.
fn png(width: u32, height: u32, depth: u8, colour: u8, extra: &[u8]) -> Vec<u8> {
    let channels = match colour {
        0 => 1,
        6 => 4,
        _ => 3,
    };
    let row = 1 + (width as usize * channels * usize::from(depth)).div_ceil(8);
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let pixels = zeros(row * height as usize);
    let parts = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &head),
        extra.to_vec(),
        chunk(b"IDAT", &pixels),
        chunk(b"IEND", b""),
    ];
    parts.concat()
}

/// So many zeros, compressed.
fn zeros(count: usize) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0; 1 << 20];
    let mut left = count;
    while left > 0 {
        let part = left.min(block.len());
        encoder.write_all(&block[..part]).unwrap();
        left -= part;
    }
    encoder.finish().unwrap()
}

/// A GIF file with one frame, which need not fit onto its screen.
fn gif(screen: [u16; 2], frame: [u16; 2]) -> Vec<u8> {
    let [a, b, c, d] = [screen[0], screen[1], frame[0], frame[1]].map(u16::to_le_bytes);
    let head = [&b"GIF89a"[..], &a, &b, &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    [head, b",\0\0\0\0".to_vec(), c.to_vec(), d.to_vec(), vec![0, 2, 2, 0x44, 1, 0, b';']].concat()
}

/// A TIFF file of f32 or f64 values, deflated.
fn tiff(side: u32, bits: u16, samples: u16) -> Vec<u8> {
    let data = zeros(side as usize * side as usize * usize::from(samples) * usize::from(bits) / 8);
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, samples.into(), 134),
        (259, 3, 1, 8),
        (262, 3, 1, 2),
        (273, 4, 1, 150),
        (277, 3, 1, samples.into()),
        (278, 4, 1, side),
        (279, 4, 1, data.len() as u32),
        (339, 3, samples.into(), 142),
    ];
    let mut bytes = b"II*\0\x08\0\0\0\x0a\0".to_vec();
    for (tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes.extend([bits; 4].map(u16::to_le_bytes).concat());
    bytes.extend([3u16; 4].map(u16::to_le_bytes).concat());
    bytes.extend(data);
    bytes
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = vec![120; width as usize * height as usize];
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 10);
    encoder.write_image(&pixels, width, height, ExtendedColorType::L8).unwrap();
    bytes
}

/// Says `message`, or, without one, finds nothing wrong; drawn and not drawn.
fn image_is_bounded(name: &str, bytes: &[u8], message: &str) {
    let place = Workdir::new();
    place.write(name, bytes);
    for options in ["--no-draw", "--out out"] {
        let run = bounded(&place, &format!("-q detect {name} --imgsz 160 {options}"));
        let said = stderr(&run.output);
        match message {
            "" => assert_eq!(run.output.status.code(), Some(0), "{said}"),
            message => assert!(said.contains(message), "{name}: {said}"),
        }
    }
}

#[test]
fn frames_that_are_larger_than_the_screen() {
    image_is_bounded("a.gif", &gif([10, 10], [65535, 65535]), "damaged");
    image_is_bounded("a.gif", &gif([65535, 65535], [1, 1]), "megapixels; the limit is 200");
}

#[test]
fn profiles_and_texts_that_expand() {
    let bomb = zeros(1 << 30);
    for (kind, head) in [(b"iCCP", &b"x\0\0"[..]), (b"zTXt", b"x\0\0"), (b"iTXt", b"x\0\x01\0\0\0")] {
        let extra = chunk(kind, &[head, &bomb].concat());
        let place = Workdir::new();
        place.write("a.png", &png(64, 64, 8, 2, &extra));
        bounded(&place, "-q detect a.png --imgsz 160 --no-draw");
    }
}

#[test]
fn many_bytes_for_each_pixel() {
    image_is_bounded(
        "a.png",
        &png(14_000, 14_000, 8, 2, b""),
        "of memory to decode; the limit is 400; raise it with --max-image-memory",
    );
    image_is_bounded("a.png", &png(9_000, 9_000, 16, 6, b""), "of memory to decode");
    image_is_bounded("a.tif", &tiff(6_000, 32, 3), "of memory to decode");
    image_is_bounded("a.tif", &tiff(6_000, 64, 3), "not supported");
    image_is_bounded("a.png", &png(4_000, 3_000, 8, 2, b""), "");
}

#[test]
fn scans_without_end() {
    // A start of scan of one component, with a little data, and no end of them.
    let image = jpeg(3000, 3000);
    let scan = [&b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x10"[..], &[0; 8]].concat();
    let mut progressive = image[..image.len() - 2].to_vec();
    let frame = progressive.windows(2).position(|bytes| bytes == b"\xff\xc0").unwrap();
    progressive[frame + 1] = 0xc2;
    progressive.extend(scan.repeat(20_000));
    progressive.extend(b"\xff\xd9");
    image_is_bounded("a.jpg", &progressive, "a JPEG file of 20001 scans");
}

#[test]
fn many_large_images_at_once_take_turns() {
    let place = Workdir::new();
    // 300 MB each when decoded, a few hundred kB as files.
    let large = png(10_000, 10_000, 8, 2, b"");
    for n in 0..6 {
        place.write(&format!("in/{n}.png"), &large);
    }
    let run = bounded(&place, "-q detect in --imgsz 160 --no-draw --workers 4 --batch 2 --jsonl all.jsonl");
    assert_eq!(run.output.status.code(), Some(0), "{}", stderr(&run.output));
    assert_eq!(std::fs::read_to_string(place.path("all.jsonl")).unwrap().lines().count(), 6);
    // One that is larger than the limit is refused, whatever else is there.
    let run = bounded(&place, "-q detect in --imgsz 160 --no-draw --max-image-memory 200");
    assert_eq!(run.output.status.code(), Some(2));
}

#[test]
fn results_do_not_depend_on_how_much_memory_there_is() {
    let place = Workdir::new();
    let sample = image::load_from_memory(yolo9::embedded::SAMPLE_IMAGE).unwrap().into_rgb8();
    for n in 0..8u32 {
        let image = RgbImage::from_fn(700 + 50 * n, 500, |x, y| {
            if x < sample.width() && y < sample.height() { sample[(x, y)] } else { Rgb([0, 0, 0]) }
        });
        std::fs::create_dir_all(place.path("in")).unwrap();
        image.save(place.path(&format!("in/{n}.png"))).unwrap();
    }
    // Enough for one image at a time; for all of them.
    for memory in ["3", "1000"] {
        place.succeeds(&format!("-q detect in --no-draw --batch 3 --max-image-memory {memory} --json {memory}.json"));
    }
    let [narrow, wide] = ["3", "1000"].map(|memory| std::fs::read(place.path(&format!("{memory}.json"))).unwrap());
    assert_eq!(narrow, wide);
}
