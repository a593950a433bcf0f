//! Where labels go: inside the image, off each other.

use imageproc::rect::Rect;

use crate::Size;

fn area(rect: Rect) -> u64 {
    u64::from(rect.width()) * u64::from(rect.height())
}

/// Moved so that it lies inside the image, if it fits.
fn inside(rect: Rect, image: Size) -> Rect {
    let within = |start: i32, length: u32, limit: usize| start.min(limit as i32 - length as i32).max(0);
    let (x, y) = (within(rect.left(), rect.width(), image.width), within(rect.top(), rect.height(), image.height));
    Rect::at(x, y).of_size(rect.width(), rect.height())
}

/// How many label heights away from its box a label may sit.
const REACH: i32 = 4;

/// A place for a label of the given size at a box: above or below it, inside one of its corners, beside it, and then
/// ever further away. The first one that covers none of the labels that already have a place, nor most of the object;
/// nothing if there is none.
pub(super) fn place(bbox: Rect, (width, height): (u32, u32), image: Size, taken: &[Rect]) -> Option<Rect> {
    let (w, h) = (width as i32, height as i32);
    let (start, end) = (bbox.left(), bbox.left() + bbox.width() as i32);
    let (left, right) = (start, end - w);
    let (top, bottom) = (bbox.top(), bbox.top() + bbox.height() as i32);
    let near = [
        (left, top - h),
        (right, top - h),
        (left, bottom),
        (right, bottom),
        (left, top),
        (right, top),
        (left, bottom - h),
        (right, bottom - h),
        (end, top),
        (start - w, top),
    ];
    let far = (2..=REACH).flat_map(|n| [(left, top - n * h), (left, bottom + (n - 1) * h)]);
    let mut places = near.into_iter().chain(far).map(|(x, y)| inside(Rect::at(x, y).of_size(width, height), image));
    let is_free = |place: &Rect| taken.iter().all(|other| place.intersect(*other).is_none());
    let shows_object = |place: &Rect| 2 * place.intersect(bbox).map_or(0, area) <= area(bbox);
    places.find(|place| shows_object(place) && is_free(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Size = Size::new(200, 100);

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect::at(x, y).of_size(width, height)
    }

    #[test]
    fn a_label_sits_on_its_box() {
        let bbox = rect(50, 40, 60, 30);
        assert_eq!(place(bbox, (40, 10), IMAGE, &[]), Some(rect(50, 30, 40, 10)));
    }

    #[test]
    fn labels_stay_inside_the_image() {
        for bbox in [rect(0, 0, 10, 10), rect(190, 95, 10, 5), rect(0, 0, 200, 100)] {
            let label = place(bbox, (40, 10), IMAGE, &[]).unwrap();
            assert_eq!(label.intersect(rect(0, 0, 200, 100)), Some(label));
        }
    }

    #[test]
    fn a_label_on_a_tiny_image_does_not_cover_the_object() {
        let image = Size::new(48, 32);
        assert_eq!(place(rect(2, 2, 44, 28), (46, 20), image, &[]), None);
        let corner = place(rect(2, 2, 44, 28), (30, 10), image, &[]).unwrap();
        assert_eq!((corner.left(), corner.top()), (2, 0));
    }

    #[test]
    fn labels_of_equal_boxes_do_not_cover_each_other() {
        let bbox = rect(50, 40, 60, 30);
        let mut taken = Vec::new();
        while let Some(label) = place(bbox, (40, 10), IMAGE, &taken) {
            assert!(taken.iter().all(|other| label.intersect(*other).is_none()), "{label:?} on {taken:?}");
            taken.push(label);
        }
        // Then there is no room left near the box.
        assert!((8..20).contains(&taken.len()), "{}", taken.len());
    }
}
