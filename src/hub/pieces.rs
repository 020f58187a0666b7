//! Lists that are read under a lock a piece at a time.

/// Items that are read under the lock at once.
const PIECE: usize = 256;

/// Returns up to `limit` items. `read` returns the next ones after the last that was read, at most as
/// many as it is asked for, and takes and releases the lock.
pub(in crate::hub) fn in_pieces<T>(
    limit: usize,
    mut read: impl FnMut(Option<&T>, usize) -> Vec<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    while all.len() < limit {
        let wanted = PIECE.min(limit - all.len());
        let piece = read(all.last(), wanted);
        let end = piece.len() < wanted;
        all.extend(piece);
        if end {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_read_up_to_its_end_or_the_limit() {
        let after = |last: Option<&usize>, wanted: usize| {
            let first = last.map_or(0, |last| last + 1);
            (first..1000.min(first + wanted)).collect::<Vec<_>>()
        };
        for limit in [0, 1, PIECE, PIECE + 1, 999, 1000, 1001, usize::MAX] {
            let all = in_pieces(limit, after);
            assert_eq!(all, (0..limit.min(1000)).collect::<Vec<_>>());
        }
    }
}
