//! What the markers of a JPEG file say before it is decoded (ITU-T T.81, annex B).

/// Whether the end marker comes after the image's data. The decoder fills what is missing with grey, in silence.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut position = 2;
    loop {
        match bytes.get(position..position + 2) {
            // Any number of fill bytes may stand before a marker.
            Some([0xff, 0xff]) => position += 1,
            // Start of scan: within its data, 0xff is followed by zero or a restart number.
            Some([0xff, 0xda]) => return bytes[position..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]),
            Some([0xff, 0x01 | 0xd0..=0xd7]) => position += 2,
            Some([0xff, _]) => match bytes.get(position + 2..position + 4) {
                Some(&[high, low]) => position += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            // Something else than a marker: the decoder has the better message.
            Some(_) => return true,
            None => return false,
        }
    }
}

/// How a file is put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Structure {
    /// Coefficients of the whole image are kept until the last scan.
    pub(super) progressive: bool,
    pub(super) scans: usize,
}

/// Follows the markers up to the end of the image. What is none is skipped, as decoders do.
pub(super) fn structure(bytes: &[u8]) -> Structure {
    let mut found = Structure::default();
    let mut position = 2;
    while let Some(&[first, marker]) = bytes.get(position..position + 2) {
        match (first, marker) {
            (0xff, 0xff) => position += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => position += 2,
            (0xff, 0xd9) => break,
            (0xff, marker) => {
                // Start of frame; the others of this range are tables.
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    found.progressive |= matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
                }
                found.scans += usize::from(marker == 0xda);
                let Some(&[high, low]) = bytes.get(position + 2..position + 4) else { break };
                position += 2 + usize::from(u16::from_be_bytes([high, low]));
                if marker == 0xda {
                    position = end_of_scan(bytes, position);
                }
            }
            _ => match bytes[position..].iter().position(|byte| *byte == 0xff) {
                Some(skipped) => position += skipped,
                None => break,
            },
        }
    }
    found
}

/// Where the next marker stands behind the data of a scan.
fn end_of_scan(bytes: &[u8], start: usize) -> usize {
    let data = bytes.get(start..).unwrap_or_default();
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
    data.windows(2).position(is_marker).map_or(bytes.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_are_counted_and_only_those_of_the_image() {
        let scan = b"\xff\xda\x00\x02\x12\xff\x00\x34\xff\xd0\x56";
        let grey = b"\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00";
        let frame = |marker: u8| [&b"\xff\xd8\xff"[..], &[marker], grey].concat();
        let baseline = [frame(0xc0), scan.repeat(3), b"\xff\xd9".to_vec(), scan.repeat(9)].concat();
        let found = structure(&baseline);
        assert_eq!(found, Structure { progressive: false, scans: 3 });
        let progressive = [frame(0xc2), scan.repeat(200)].concat();
        let found = structure(&progressive);
        assert_eq!((found.progressive, found.scans), (true, 200));
        // What is no marker does not hide the ones behind it.
        for junk in [&b"\0"[..], b"\xff\0", b"junk"] {
            let hidden = [&progressive[..2], junk, &progressive[2..15], junk, &progressive[15..]].concat();
            assert_eq!(structure(&hidden), found, "{junk:?}");
        }
        // A thumbnail inside of another segment is not part of it.
        let exif = [&b"\xff\xd8\xff\xe1\x00\x0d"[..], scan, &frame(0xc0)[2..], scan].concat();
        assert_eq!(structure(&exif).scans, 1);
        for length in 0..progressive.len() {
            let _ = (structure(&progressive[..length]), is_complete(&progressive[..length]));
        }
    }
}
