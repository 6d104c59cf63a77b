//! Who gets how much of something that several want.

/// What each gets of `pool`: all that it wants, or as much as anybody who does not get all (max-min
/// fairness). In the order of `wants`; together never more than `pool`.
pub(super) fn fair_shares(pool: u32, wants: &[u32]) -> Vec<u32> {
    let mut modest_first: Vec<usize> = (0..wants.len()).collect();
    modest_first.sort_by_key(|at| wants[*at]);
    let mut shares = vec![0; wants.len()];
    let (mut left, mut waiting) = (pool, wants.len() as u32);
    for at in modest_first {
        let share = wants[at].min(left / waiting);
        shares[at] = share;
        left -= share;
        waiting -= 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_modest_get_all_and_the_others_the_same() {
        assert_eq!(fair_shares(100, &[10, 90, 70]), [10, 45, 45]);
        assert_eq!(fair_shares(100, &[10, 20]), [10, 20]);
        assert_eq!(fair_shares(2, &[5, 5, 5]), [0, 1, 1]);
        assert_eq!(fair_shares(9, &[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_and_nothing_is_kept_from_who_wants_it(
            pool in 0_u32..1_000, wants in prop::collection::vec(0_u32..500, 1..9),
        ) {
            let shares = fair_shares(pool, &wants);
            let given: u32 = shares.iter().sum();
            prop_assert!(given <= pool);
            let wanted: u32 = wants.iter().sum();
            prop_assert!(given == wanted.min(pool));
            prop_assert!(shares.iter().zip(&wants).all(|(share, want)| share <= want));
        }
    }
}
