//! Guesses where the next page of a listing begins, so that it can be asked for before the page ahead of it has come.
//!
//! In: the keys of a page. Out: a [`Stride`], which leads from a place to one about a page further on. Never: a place that does not
//! come after the one it was guessed from; more than a guess: a listing must be right wherever it leads.
//!
//! Keys are read as numbers: what they have in common, then a field of digits, hexadecimal digits or letters in which they differ
//! (`part-` `00999`), then a tail. The numbers of a page tell how far a page reaches. Where the field names directories, of which a
//! page shows several, the stride goes from directory to directory.

use std::collections::BTreeSet;

/// Fewer keys than this show no pattern.
const FEWEST: usize = 50;
/// An alphabet larger than this is no alphabet.
const MOST_SYMBOLS: usize = 4_096;
/// Alphabets that keys are commonly made of, each in order: the first that has all that was seen is taken.
const ALPHABETS: [&str; 9] = [
    "0123456789",
    "0123456789abcdef",
    "0123456789ABCDEF",
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789abcdefghijklmnopqrstuvwxyz",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
];

/// How far a page reaches, in a field of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stride {
    field: Field,
    step: u128,
}

/// A part of keys that is read as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    /// What comes before it.
    stem: String,
    /// In order.
    symbols: Vec<char>,
    places: usize,
    /// Not all keys fill every place; that a place is empty counts as a symbol before all others.
    ragged: bool,
}

impl Stride {
    /// What a page's `keys`, in order, tell. `None` where they show no pattern.
    pub(super) fn of(keys: &[&str]) -> Option<Stride> {
        Self::among(keys, keys.len())
    }

    /// What `keys` tell of pages of `page` keys.
    fn among(keys: &[&str], page: usize) -> Option<Stride> {
        if keys.len() < FEWEST {
            return None;
        }
        let field = Field::of(keys)?;
        let read: Vec<(u128, &str)> = keys
            .iter()
            .filter_map(|key| Some((field.read(key)?.0, *key)))
            .collect();
        // Sizes of the groups of keys with the same number, in order.
        let groups: Vec<&[(u128, &str)]> = read.chunk_by(|a, b| a.0 == b.0).collect();
        let (first, last) = (read.first()?.0, read.last()?.0);
        let span = last.checked_sub(first)?;
        let page_wide = page as u128;
        if groups.len() == read.len() {
            let gaps = (read.len() - 1) as u128;
            let each = span / gaps;
            let even = (0u128..)
                .zip(&read)
                .all(|(index, it)| first.checked_add(each * index) == Some(it.0));
            // Where keys lie at random, the next page reaches a little less or more far: a little less is asked of it, since what it
            // does not reach costs a request of its own.
            let step = match even {
                true => each.checked_mul(page_wide)?,
                false => scaled(span, page_wide * 9, gaps * 10)?,
            };
            return Self::made(field, step);
        }
        let Some((whole @ [one, ..], _)) = groups
            .split_first()
            .and_then(|(_, rest)| rest.split_last())
            .map(|(last, whole)| (whole, last))
        else {
            // At most one border between directories: what the last of them shows counts, or else all that there is.
            let last: Vec<&str> = groups.last()?.iter().map(|it| it.1).collect();
            return (last.len() < keys.len())
                .then(|| Self::among(&last, page))
                .flatten();
        };
        let held: usize = whole.iter().map(|group| group.len()).sum();
        let even = whole.iter().all(|group| group.len() == one.len());
        let fit = match even {
            true => page * whole.len() / held,
            false => page * whole.len() * 9 / (held * 10),
        };
        let apart = span / (whole.len() as u128 + 1);
        Self::made(field, apart.checked_mul(fit.max(1) as u128)?)
    }

    fn made(field: Field, step: u128) -> Option<Stride> {
        (step > 0).then_some(Stride { field, step })
    }

    /// About a page after `from`. `None` where that leads out of what the keys have shown.
    pub(super) fn after(&self, from: &str) -> Option<String> {
        let (number, tail) = self.field.read(from)?;
        let pivot = self.field.write(number.checked_add(self.step)?, tail)?;
        (pivot.as_str() > from).then_some(pivot)
    }
}

impl Field {
    /// The field in which `keys` differ first.
    fn of(keys: &[&str]) -> Option<Field> {
        let (first, last) = (*keys.first()?, *keys.last()?);
        let common: usize = first
            .chars()
            .zip(last.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        let plain = |key: &str| {
            key[common..]
                .chars()
                .next()
                .is_none_or(|it| it.is_ascii_alphanumeric())
        };
        let plain = plain(first) && plain(last);
        let belongs = |it: &char| match plain {
            true => it.is_ascii_alphanumeric(),
            false => *it != '/',
        };
        let mut seen = BTreeSet::new();
        let (mut shortest, mut longest) = (usize::MAX, 0);
        for key in keys {
            let before = seen.len();
            let mut length = 0;
            for symbol in key.get(common..)?.chars().take_while(belongs) {
                length += 1;
                seen.insert(symbol);
            }
            if before != seen.len() && seen.len() > MOST_SYMBOLS {
                return None;
            }
            shortest = shortest.min(length);
            longest = longest.max(length);
        }
        let known = ALPHABETS
            .iter()
            .find(|alphabet| seen.iter().all(|it| alphabet.contains(*it)));
        let symbols: Vec<char> = match known {
            Some(alphabet) => alphabet.chars().collect(),
            None => seen.into_iter().collect(),
        };
        // As many places as a number has room for.
        let bits = (symbols.len() + 1).next_power_of_two().trailing_zeros();
        let room = (127 / bits.max(1)) as usize;
        // A number that grows changes places that the keys have in common so far.
        let carried = keys[0][..common]
            .chars()
            .rev()
            .take(room / 3)
            .take_while(|it| known.is_some() && symbols.contains(it));
        let (mut carried_places, mut stem_bytes) = (0, common);
        for symbol in carried {
            carried_places += 1;
            stem_bytes -= symbol.len_utf8();
        }
        let places = longest.min(room - room / 3);
        Some(Field {
            stem: first[..stem_bytes].to_owned(),
            symbols,
            places: carried_places + places,
            ragged: shortest < places,
        })
    }

    fn base(&self) -> u128 {
        self.symbols.len() as u128 + u128::from(self.ragged)
    }

    /// A key's number, and what follows the field.
    fn read<'a>(&self, key: &'a str) -> Option<(u128, &'a str)> {
        let mut tail = key.strip_prefix(self.stem.as_str())?;
        let mut number = 0u128;
        let mut ended = false;
        for _ in 0..self.places {
            let symbol = tail.chars().next().filter(|_| !ended);
            let index = symbol.and_then(|symbol| self.symbols.binary_search(&symbol).ok());
            let value = match (index, symbol) {
                (Some(index), Some(symbol)) => {
                    tail = &tail[symbol.len_utf8()..];
                    index as u128 + u128::from(self.ragged)
                }
                _ if self.ragged => {
                    ended = true;
                    0
                }
                _ => return None,
            };
            number = number.checked_mul(self.base())?.checked_add(value)?;
        }
        Some((number, tail))
    }

    /// The key with this number. `None` where the field has no room for it.
    fn write(&self, mut number: u128, tail: &str) -> Option<String> {
        let mut values = vec![0; self.places];
        for value in values.iter_mut().rev() {
            *value = (number % self.base()) as usize;
            number /= self.base();
        }
        if number > 0 {
            return None;
        }
        let mut key = self.stem.clone();
        for value in values {
            let Some(index) = value.checked_sub(usize::from(self.ragged)) else {
                break;
            };
            key.push(*self.symbols.get(index)?);
        }
        key.push_str(tail);
        Some(key)
    }
}

/// `number` × `times` ÷ `by`, for numbers that fill their type.
fn scaled(number: u128, times: u128, by: u128) -> Option<u128> {
    match number.checked_mul(times) {
        Some(product) => product.checked_div(by),
        None => number.checked_div(by)?.checked_mul(times),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skyfresh_sky::Rng;

    fn stride(keys: impl IntoIterator<Item = String>) -> Option<Stride> {
        let keys: Vec<String> = keys.into_iter().collect();
        assert!(keys.is_sorted(), "as a listing gives them");
        Stride::of(&keys.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn after(keys: impl IntoIterator<Item = String>, from: &str) -> Option<String> {
        stride(keys).and_then(|stride| stride.after(from))
    }

    #[test]
    fn numbered_keys_lead_exactly_a_page_further() {
        let numbered = |range: std::ops::Range<u32>| range.map(|it| format!("part-{it:05}"));
        let pivot = after(numbered(0..1_000), "part-00999");
        assert_eq!(pivot.as_deref(), Some("part-01999"));
        let odd = (0..1_000).map(|it| format!("x/{:06}.csv", it * 7));
        let pivot = after(odd, "x/006993.csv");
        assert_eq!(pivot.as_deref(), Some("x/013993.csv"));
        let pivot = after(numbered(98_500..99_500), "part-99499");
        assert_eq!(pivot, None, "there is no room for a page more");
        assert_eq!(after(numbered(0..1_000), "other-00999"), None);
    }

    #[test]
    fn letters_before_a_number_are_not_part_of_it() {
        let pivot = after(
            (2_000..3_000).map(|it| format!("img{it:07}.jpg")),
            "img0002999.jpg",
        );
        assert_eq!(pivot.as_deref(), Some("img0003999.jpg"));
    }

    #[test]
    fn random_names_lead_a_little_less_than_a_page_further() {
        let rng = Rng::seeded(1);
        let mut all: Vec<u32> = (0..100_000).map(|_| rng.u64() as u32).collect();
        all.sort_unstable();
        all.dedup();
        let named = |it: &u32| format!("{it:08x}-suffix");
        let page: Vec<String> = all[..1_000].iter().map(named).collect();
        let mut from = page[999].clone();
        let stride = stride(page).unwrap();
        for _ in 0..14 {
            let next = stride.after(&from).unwrap();
            let between = |it: &&u32| named(it) > from && named(it) <= next;
            let keys = all.iter().filter(between).count();
            assert!((750..=1_000).contains(&keys), "{keys} after {from}");
            from = next;
        }
    }

    #[test]
    fn small_directories_are_passed_as_a_whole() {
        let keys = (0..1_000).map(|it| format!("a/b-{:03}/file-{:04}", it / 300, it % 300));
        let pivot = after(keys, "a/b-003/file-0099");
        assert_eq!(pivot.as_deref(), Some("a/b-006/file-0099"));
    }

    #[test]
    fn behind_the_border_of_large_directories_the_files_count() {
        let keys = (0..1_000).map(|it| match it {
            0..500 => format!("a/000/{:04}", it + 4_500),
            _ => format!("a/001/{:04}", it - 500),
        });
        let pivot = after(keys, "a/001/0499");
        assert_eq!(pivot.as_deref(), Some("a/001/1499"));
    }

    #[test]
    fn what_shows_no_pattern_leads_nowhere() {
        assert_eq!(stride((0..10).map(|it| it.to_string())), None);
        let one_each = std::iter::repeat_n("same".to_owned(), 60);
        assert_eq!(stride(one_each), None);
    }

    proptest! {
        #[test]
        fn a_pivot_comes_after_where_it_was_guessed_from(
            keys in prop_oneof![
                prop::collection::btree_set("\\PC{1,12}", 60..90),
                prop::collection::btree_set("[0-9]{1,40}", 60..90),
                prop::collection::btree_set("[a-c]{0,2}/[0-9a-f]{1,33}[~!]?", 60..90),
                prop::collection::btree_set("[\u{1F600}-\u{1F640}é/]{1,30}", 60..90),
            ],
            strange in "\\PC{0,12}",
        ) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            if let Some(stride) = Stride::of(&keys) {
                for from in keys.iter().copied().chain([strange.as_str()]) {
                    if let Some(pivot) = stride.after(from) {
                        prop_assert!(pivot.as_str() > from, "{pivot:?} after {from:?}");
                    }
                }
            }
        }
    }
}
