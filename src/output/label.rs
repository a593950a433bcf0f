//! Where labels go: inside the picture, off each other.

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
    fn overlap(&self, other: &Patch) -> i64 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        i64::from(width.max(0)) * i64::from(height.max(0))
    }

    /// Moved so that it lies inside the picture, if it fits.
    fn inside(self, picture: Size) -> Patch {
        let within = |start: i32, length: i32, limit: usize| start.min(limit as i32 - length).max(0);
        Patch { x: within(self.x, self.width, picture.width), y: within(self.y, self.height, picture.height), ..self }
    }
}

/// A place for a label of the given size at a box: above, below, or inside one of its corners, whichever overlaps the
/// labels that already have a place the least; the earlier one among equals.
pub(super) fn place(bbox: Patch, width: i32, height: i32, picture: Size, taken: &[Patch]) -> Patch {
    let (right, bottom) = (bbox.x + bbox.width - width, bbox.y + bbox.height);
    let candidates = [
        (bbox.x, bbox.y - height),
        (right, bbox.y - height),
        (bbox.x, bottom),
        (right, bottom),
        (bbox.x, bbox.y),
        (right, bbox.y),
        (bbox.x, bottom - height),
        (right, bottom - height),
        (bbox.x + bbox.width, bbox.y),
        (bbox.x - width, bbox.y),
        (bbox.x, bbox.y - 2 * height),
        (bbox.x, bottom + height),
    ];
    let cost = |patch: &Patch| taken.iter().map(|other| patch.overlap(other)).sum::<i64>();
    candidates
        .into_iter()
        .map(|(x, y)| Patch { x, y, width, height }.inside(picture))
        .min_by_key(cost)
        .unwrap_or(Patch { x: 0, y: 0, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Size = Size::new(200, 100);

    #[test]
    fn a_label_sits_on_its_box() {
        let bbox = Patch { x: 50, y: 40, width: 60, height: 30 };
        assert_eq!(place(bbox, 40, 10, PICTURE, &[]), Patch { x: 50, y: 30, width: 40, height: 10 });
    }

    #[test]
    fn labels_stay_inside_the_picture() {
        for bbox in [
            Patch { x: 0, y: 0, width: 10, height: 10 },
            Patch { x: 190, y: 95, width: 10, height: 5 },
            Patch { x: 0, y: 0, width: 200, height: 100 },
        ] {
            let label = place(bbox, 40, 10, PICTURE, &[]);
            assert!(label.x >= 0 && label.y >= 0 && label.x + 40 <= 200 && label.y + 10 <= 100, "{label:?}");
        }
    }

    #[test]
    fn labels_of_equal_boxes_do_not_cover_each_other() {
        let bbox = Patch { x: 50, y: 40, width: 60, height: 30 };
        let mut taken = Vec::new();
        for _ in 0..6 {
            let label = place(bbox, 40, 10, PICTURE, &taken);
            assert!(taken.iter().all(|other| label.overlap(other) == 0), "{label:?} on {taken:?}");
            taken.push(label);
        }
    }
}
