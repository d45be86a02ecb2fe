//! Names that are like a mistyped one.

/// The names most like `text`, the likest first; none that shares hardly a letter.
pub(super) fn nearest(
    text: &str,
    names: impl Iterator<Item = String>,
    count: usize,
) -> Vec<String> {
    // A name from outside may be as long as it likes.
    let text: Vec<char> = text.to_lowercase().chars().take(64).collect();
    let mut near: Vec<(usize, String)> = names
        .map(|name| {
            let whole = distance(&text, &name);
            // Whoever leaves the provider out means the name.
            let bare = name
                .split_once(':')
                .map_or(whole, |(_, bare)| distance(&text, bare));
            (whole.min(bare), name)
        })
        .filter(|(edits, name)| *edits <= name.len() / 2)
        .collect();
    near.sort();
    near.into_iter().take(count).map(|(_, name)| name).collect()
}

/// The least number of letters to insert, remove or replace (Levenshtein).
fn distance(text: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=text.len()).collect();
    for (at, letter) in name.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in text.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_comes_first() {
        let edits = |text: &str, name| distance(&text.chars().collect::<Vec<_>>(), name);
        assert_eq!((edits("kitten", "sitting"), edits("", "abc")), (3, 3));
        assert_eq!(edits("abc", "abc"), 0);
        let names = || ["aws:us-east-1", "aws:us-west-2", "azure:eastus"];
        let near = |text| nearest(text, names().into_iter().map(str::to_owned), 2);
        assert_eq!(near("aws:us-eest-1")[0], "aws:us-east-1");
        assert_eq!(near("eastus")[0], "azure:eastus");
        assert!(near("qqqqqqqqqqqqqqq").is_empty());
    }
}
