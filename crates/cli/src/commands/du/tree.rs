//! Sums of common prefixes, as keys come by. Pure.

/// Objects counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// Prefixes that are being counted, one within the other. Keys come in order: those of a prefix are together, so that one of each
/// depth is in memory at a time.
pub(super) struct Tree {
    depth: usize,
    /// Whole key of a prefix, and what was counted in it so far.
    open: Vec<(String, Sum)>,
    total: Sum,
}

impl Tree {
    /// Nothing counted yet; prefixes are told so many levels deep.
    pub(super) fn new(depth: usize) -> Self {
        Tree {
            depth,
            open: Vec::new(),
            total: Sum::default(),
        }
    }

    /// Counts an object, after printing the prefixes that end before it. `level` is where names begin in keys.
    pub(super) fn add(
        &mut self,
        level: usize,
        key: &str,
        one: Sum,
        print: &impl Fn(&str, Sum) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while self
            .open
            .last()
            .is_some_and(|(prefix, _)| !key.starts_with(prefix))
        {
            self.close(print)?;
        }
        let from = self.open.last().map_or(level, |(prefix, _)| prefix.len());
        let slashes = key.match_indices('/').filter(|(slash, _)| *slash >= from);
        for (slash, _) in slashes.take(self.depth - self.open.len()) {
            self.open.push((key[..=slash].to_owned(), Sum::default()));
        }
        match self.open.last_mut() {
            Some((_, sum)) => sum.add(one),
            None => self.total.add(one),
        }
        Ok(())
    }

    fn close(&mut self, print: &impl Fn(&str, Sum) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if let Some((prefix, sum)) = self.open.pop() {
            print(&prefix, sum)?;
            match self.open.last_mut() {
                Some((_, around)) => around.add(sum),
                None => self.total.add(sum),
            }
        }
        Ok(())
    }

    /// Prints what is still open, and gives the sum of all.
    pub(super) fn finish(
        mut self,
        print: &impl Fn(&str, Sum) -> anyhow::Result<()>,
    ) -> anyhow::Result<Sum> {
        while !self.open.is_empty() {
            self.close(print)?;
        }
        Ok(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn printed(depth: usize, keys: &[&str]) -> Vec<String> {
        let lines = RefCell::new(Vec::new());
        let print = |prefix: &str, sum: Sum| {
            lines
                .borrow_mut()
                .push(format!("{prefix} {} {}", sum.objects, sum.bytes));
            Ok(())
        };
        let mut tree = Tree::new(depth);
        for key in keys {
            let one = Sum {
                objects: 1,
                bytes: 10,
            };
            tree.add("p/".len(), key, one, &print).unwrap();
        }
        let total = tree.finish(&print).unwrap();
        print("=", total).unwrap();
        lines.into_inner()
    }

    #[test]
    fn prefixes_come_before_the_ones_around_them() {
        let keys = [
            "p/a",
            "p/a/b/1",
            "p/a/b/c/2",
            "p/a/z",
            "p/b/1",
            "p/c//d",
            "p/z",
        ];
        assert_eq!(printed(0, &keys), ["= 7 70"]);
        assert_eq!(
            printed(1, &keys),
            ["p/a/ 3 30", "p/b/ 1 10", "p/c/ 1 10", "= 7 70"]
        );
        assert_eq!(
            printed(2, &keys),
            [
                "p/a/b/ 2 20",
                "p/a/ 3 30",
                "p/b/ 1 10",
                "p/c// 1 10",
                "p/c/ 1 10",
                "= 7 70"
            ]
        );
        assert_eq!(printed(9, &[]), ["= 0 0"]);
    }
}
