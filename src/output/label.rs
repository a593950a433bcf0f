//! Where labels go: inside the image, off each other.

use crate::Size;

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Patch {
    fn area(&self) -> i64 {
        i64::from(self.width) * i64::from(self.height)
    }

    /// Pixels of both.
    fn common(&self, other: &Patch) -> i64 {
        let along = |start: i32, length: i32, other: i32, other_length: i32| {
            i64::from(((start + length).min(other + other_length) - start.max(other)).max(0))
        };
        along(self.x, self.width, other.x, other.width) * along(self.y, self.height, other.y, other.height)
    }

    fn overlaps(&self, other: &Patch) -> bool {
        self.common(other) > 0
    }

    /// Moved so that it lies inside the image, if it fits.
    fn inside(self, image: Size) -> Patch {
        let within = |start: i32, length: i32, limit: usize| start.min(limit as i32 - length).max(0);
        Patch { x: within(self.x, self.width, image.width), y: within(self.y, self.height, image.height), ..self }
    }
}

/// How many label heights away from its box a label may sit.
const REACH: i32 = 4;

/// A place for a label of the given size at a box: above or below it, inside one of its corners, beside it, and then
/// ever further away. The first one that covers none of the labels that already have a place, nor most of the object;
/// nothing if there is none.
pub(super) fn place(bbox: Patch, (width, height): (i32, i32), image: Size, taken: &[Patch]) -> Option<Patch> {
    let (left, right) = (bbox.x, bbox.x + bbox.width - width);
    let (top, bottom) = (bbox.y, bbox.y + bbox.height);
    let near = [
        (left, top - height),
        (right, top - height),
        (left, bottom),
        (right, bottom),
        (left, top),
        (right, top),
        (left, bottom - height),
        (right, bottom - height),
        (bbox.x + bbox.width, top),
        (bbox.x - width, top),
    ];
    let far = (2..=REACH).flat_map(|n| [(left, top - n * height), (left, bottom + (n - 1) * height)]);
    near.into_iter()
        .chain(far)
        .map(|(x, y)| Patch { x, y, width, height }.inside(image))
        .find(|patch| 2 * patch.common(&bbox) <= bbox.area() && taken.iter().all(|other| !patch.overlaps(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Size = Size::new(200, 100);

    #[test]
    fn a_label_sits_on_its_box() {
        let bbox = Patch { x: 50, y: 40, width: 60, height: 30 };
        assert_eq!(place(bbox, (40, 10), IMAGE, &[]), Some(Patch { x: 50, y: 30, width: 40, height: 10 }));
    }

    #[test]
    fn labels_stay_inside_the_image() {
        for bbox in [
            Patch { x: 0, y: 0, width: 10, height: 10 },
            Patch { x: 190, y: 95, width: 10, height: 5 },
            Patch { x: 0, y: 0, width: 200, height: 100 },
        ] {
            let label = place(bbox, (40, 10), IMAGE, &[]).unwrap();
            assert!(label.x >= 0 && label.y >= 0 && label.x + 40 <= 200 && label.y + 10 <= 100, "{label:?}");
        }
    }

    #[test]
    fn a_label_on_a_tiny_image_does_not_cover_the_object() {
        let image = Size::new(48, 32);
        assert_eq!(place(Patch { x: 2, y: 2, width: 44, height: 28 }, (46, 20), image, &[]), None);
        let corner = place(Patch { x: 2, y: 2, width: 44, height: 28 }, (30, 10), image, &[]).unwrap();
        assert_eq!((corner.x, corner.y), (2, 0));
    }

    #[test]
    fn labels_of_equal_boxes_do_not_cover_each_other() {
        let bbox = Patch { x: 50, y: 40, width: 60, height: 30 };
        let mut taken = Vec::new();
        while let Some(label) = place(bbox, (40, 10), IMAGE, &taken) {
            assert!(taken.iter().all(|other| !label.overlaps(other)), "{label:?} on {taken:?}");
            taken.push(label);
        }
        // Then there is no room left near the box.
        assert!((8..20).contains(&taken.len()), "{}", taken.len());
    }
}
