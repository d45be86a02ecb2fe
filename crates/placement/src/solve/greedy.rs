//! A good set to begin with: the store that lowers the cost most, again and again.

use super::best::Best;
use super::instance::Instance;

/// Offers every set of an allowed size that greedy addition goes through. Returns, for each row, the costs of reading from the
/// nearest and the second nearest store of the last.
pub(super) fn improve(instance: &Instance, best: &mut Best<'_>) -> Vec<(f64, f64)> {
    let columns = instance.store.len();
    let (min, max) = instance.replicas;
    let mut nearest = vec![(f64::INFINITY, f64::INFINITY); instance.rows];
    let mut set: Vec<usize> = Vec::new();
    let mut keep = 0.0;
    let mut cost = f64::INFINITY;
    let mut with = vec![0.0; columns];
    while set.len() < max {
        // with[o] = the cost of the set and o.
        for (with, own) in with.iter_mut().zip(&instance.keep) {
            *with = keep + own;
        }
        for (row, (nearest, _)) in nearest.iter().enumerate() {
            for (with, read) in with.iter_mut().zip(instance.row(row)) {
                *with += if read < nearest { *read } else { *nearest };
            }
        }
        set.iter().for_each(|column| with[*column] = f64::INFINITY);
        let chosen = || set.iter().map(|column| instance.store[*column]);
        let lacking = best.missing(chosen());
        // As many places left as stores are lacking: only those that are may come.
        let only_needed = lacking > 0 && max - set.len() <= lacking;
        let usable = |column: &usize| {
            with[*column].is_finite()
                && (!only_needed
                    || best.missing(chosen().chain([instance.store[*column]])) < lacking)
        };
        let next = (0..columns).filter(usable).reduce(|least, other| {
            if with[other] < with[least] {
                other
            } else {
                least
            }
        });
        let Some(next) = next else {
            return nearest;
        };
        if set.len() >= min && lacking == 0 && with[next] >= cost {
            return nearest;
        }
        cost = with[next];
        keep += instance.keep[next];
        set.push(next);
        for (row, nearest) in nearest.iter_mut().enumerate() {
            let read = instance.row(row)[next];
            *nearest = (nearest.0.min(read), nearest.1.min(read.max(nearest.0)));
        }
        let stores = || set.iter().map(|column| instance.store[*column]);
        if set.len() >= min && cost <= best.upper && best.missing(stores()) == 0 {
            best.offer(cost, stores());
        }
    }
    nearest
}
