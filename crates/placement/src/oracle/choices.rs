//! Write choices, numbered: sets of k of n stores in lexicographic order.

/// How many sets of `k` of `n` there are; saturates at 2¹²⁸ − 1.
pub(super) fn count(n: usize, k: usize) -> u128 {
    if k > n {
        return 0;
    }
    let mut count: u128 = 1;
    for at in 0..k.min(n - k) {
        // Binomials of growing k: each division is exact.
        let Some(product) = count.checked_mul((n - at) as u128) else {
            return u128::MAX;
        };
        count = product / (at + 1) as u128;
    }
    count
}

/// The set of number `rank`, below [`count`]: ascending.
pub(super) fn unrank(n: usize, k: usize, mut rank: u128) -> Vec<u16> {
    let mut set = Vec::with_capacity(k);
    let mut next = 0;
    while set.len() < k && next < n {
        let with = count(n - next - 1, k - set.len() - 1);
        if rank < with {
            set.push(next as u16);
        } else {
            rank -= with;
        }
        next += 1;
    }
    set
}

/// Makes `set` the next one; false where it was the last.
pub(super) fn advance(set: &mut [u16], n: usize) -> bool {
    let k = set.len();
    let Some(at) = (0..k).rev().find(|at| (set[*at] as usize) < n - (k - at)) else {
        return false;
    };
    set[at] += 1;
    for later in at + 1..k {
        set[later] = set[later - 1] + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_places_in_the_lexicographic_order() {
        for (n, k) in [(1, 1), (5, 1), (5, 5), (7, 3), (9, 4)] {
            let mut set: Vec<u16> = (0..k as u16).collect();
            let mut seen = 0;
            loop {
                assert_eq!(unrank(n, k, seen), set, "{n} {k}");
                seen += 1;
                let before = set.clone();
                if !advance(&mut set, n) {
                    break;
                }
                assert!(before < set);
            }
            assert_eq!(seen, count(n, k));
        }
        assert_eq!(count(163, 3), 708_561);
        assert_eq!(count(3, 4), 0);
        assert_eq!(count(10_000, 5_000), u128::MAX);
    }
}
