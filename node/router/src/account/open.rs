//! Lists of what is under way, from which what is done is dropped now and then.

/// Drops what is done from a list that is full, and makes room for as many again as are left: so each is looked at
/// twice at most for one that is added.
pub(super) fn make_room<T>(list: &mut Vec<T>, is_done: impl Fn(&T) -> bool) {
    if list.len() < list.capacity() {
        return;
    }
    list.retain(|it| !is_done(it));
    let left = list.len().max(ROOM_MIN);
    list.shrink_to(2 * left);
    list.reserve(left);
}

/// Room that is not worth giving back.
const ROOM_MIN: usize = 4;
