use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// A topology from names: `source`, destinations, and one tree of hops `a>b`.
pub(crate) fn topology(nodes: &[&str], source: &str, ends: &[&str], hops: &[&str]) -> Topology {
    Topology {
        nodes: nodes
            .iter()
            .map(|name| Node {
                id: id(name),
                region: name.trim_end_matches(char::is_numeric).into(),
                address: None,
            })
            .collect(),
        sources: vec![id(source)],
        source: Value::Null,
        destinations: ends
            .iter()
            .map(|end| Destination {
                name: (*end).into(),
                nodes: vec![id(end)],
                sink: Value::Null,
            })
            .collect(),
        trees: vec![tree(hops)],
        chunk_bytes: 1 << 20,
        queue_chunks: 4,
        connections: 2,
        rates: None,
        security: Security::Sealed,
        compress: false,
    }
}

fn tree(hops: &[&str]) -> Tree {
    let hop = |hop: &&str| {
        hop.split_once('>')
            .map(|(from, to)| (id(from), id(to)))
            .unwrap()
    };
    Tree {
        stripes: 1,
        edges: hops.iter().map(hop).collect(),
    }
}

fn hops(tree: &Tree) -> Vec<String> {
    tree.edges
        .iter()
        .map(|(from, to)| format!("{from}>{to}"))
        .collect()
}

#[test]
fn what_is_wrong_with_a_shape_is_named() {
    let good = topology(
        &["s", "r", "a", "b"],
        "s",
        &["a", "b"],
        &["s>r", "r>a", "r>b"],
    );
    good.validate().unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["s>r", "r>a"], "does not reach destination \"b\""),
        (&["s>r", "r>a", "r>b", "s>b"], "one previous hop"),
        (&["r>a", "r>b"], "not a source"),
        (&["s>a", "r>b"], "has one root"),
        (&["s>a", "r>b", "b>r"], "round in a circle"),
        (&["s>r", "r>a", "r>b", "r>x"], "not among the nodes"),
    ];
    for (hops, why) in cases {
        let mut bad = good.clone();
        bad.trees = vec![tree(hops)];
        let error = bad.validate().unwrap_err();
        assert!(error.to_string().contains(why), "{hops:?}: {error}");
    }
    let mut bad = good.clone();
    bad.chunk_bytes = MAX_CHUNK_BYTES + 1;
    assert!(bad.validate().is_err());
    let mut bad = good.clone();
    bad.nodes.push(bad.nodes[0].clone());
    assert!(bad.validate().unwrap_err().to_string().contains("twice"));
    assert!(
        NodeId::new("Upper").is_err() && NodeId::new("-a").is_err() && NodeId::new("").is_err()
    );
}

#[test]
fn a_shape_survives_json_and_unknown_fields_do_not() {
    let shape = topology(&["s", "a"], "s", &["a"], &["s>a"]);
    let text = serde_json::to_string(&shape).unwrap();
    assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), shape);
    let text = text.replacen("chunk_bytes", "chunkbytes", 1);
    assert!(serde_json::from_str::<Topology>(&text).is_err());
}

#[test]
fn a_regions_load_is_spread_over_its_nodes() {
    let shape = topology(
        &["s1", "s2", "s3", "r1", "d1", "d2"],
        "s1",
        &["d1"],
        &["s1>d1"],
    );
    let region = RegionTree {
        stripes: 2,
        edges: vec![("s".into(), "r".into()), ("r".into(), "d".into())],
    };
    let trees = spread(&[region], &shape.nodes).unwrap();
    assert_eq!(trees.len(), 3);
    assert_eq!(hops(&trees[1]), ["s2>r1", "r1>d2"]);
    assert!(trees.iter().all(|tree| tree.stripes == trees[0].stripes));
    let starts: BTreeSet<_> = trees.iter().map(|tree| tree.edges[0].0.clone()).collect();
    assert_eq!(starts.len(), 3);
    let missing = RegionTree {
        stripes: 1,
        edges: vec![("s".into(), "nowhere".into())],
    };
    assert!(
        spread(&[missing], &shape.nodes)
            .unwrap_err()
            .to_string()
            .contains("nowhere")
    );
}

#[test]
fn shares_are_kept_when_trees_are_spread() {
    let shape = topology(
        &["s1", "s2", "a1", "b1", "b2", "b3"],
        "s1",
        &["a1"],
        &["s1>a1"],
    );
    let to = |stripes, end: &str| RegionTree {
        stripes,
        edges: vec![("s".into(), end.into())],
    };
    let trees = spread(&[to(3, "a"), to(4, "b")], &shape.nodes).unwrap();
    let sum =
        |range: std::ops::Range<usize>| trees[range].iter().map(|tree| tree.stripes).sum::<u32>();
    // Two nodes carry the first tree, three the second.
    assert_eq!(trees.len(), 5);
    assert_eq!(sum(0..2) * 4, sum(2..5) * 3);
}

#[test]
fn a_dead_relays_children_are_adopted_by_its_parent() {
    let shape = topology(
        &["s", "q", "r", "a", "b"],
        "s",
        &["a", "b"],
        &["s>q", "q>r", "r>a", "r>b"],
    );
    let mut losses = Losses::default();
    losses.nodes.insert(id("r"));
    let (tree, reached) = around(&shape, &shape.trees[0], &losses, shape.all()).unwrap();
    assert_eq!(hops(&tree), ["s>q", "q>a", "q>b"]);
    assert_eq!(reached, shape.all());
}

#[test]
fn a_cut_link_is_led_round_over_a_node_that_reaches() {
    let shape = topology(&["s", "a", "b", "idle"], "s", &["a", "b"], &["s>a", "s>b"]);
    let mut losses = Losses::default();
    losses.links.insert((id("s"), id("b")));
    let (tree, _) = around(&shape, &shape.trees[0], &losses, shape.all()).unwrap();
    assert_eq!(hops(&tree), ["s>a", "a>b"]);
    losses.links.insert((id("a"), id("b")));
    let (tree, _) = around(&shape, &shape.trees[0], &losses, shape.all()).unwrap();
    assert_eq!(hops(&tree), ["s>a", "s>idle", "idle>b"]);
    losses.links.insert((id("idle"), id("b")));
    let (tree, reached) = around(&shape, &shape.trees[0], &losses, shape.all()).unwrap();
    assert_eq!(
        (hops(&tree), reached),
        (vec!["s>a".to_owned()], DestinationSet(1))
    );
}

#[test]
fn a_dead_writer_is_followed_by_another_of_its_destination_and_a_dead_source_by_another_source() {
    let mut shape = topology(
        &["s", "t", "a", "a2", "b"],
        "s",
        &["a", "b"],
        &["s>a", "a>b"],
    );
    shape.sources.push(id("t"));
    shape.destinations[0].nodes.push(id("a2"));
    let mut losses = Losses::default();
    losses.nodes.insert(id("a"));
    losses.nodes.insert(id("s"));
    let (tree, reached) = around(&shape, &shape.trees[0], &losses, shape.all()).unwrap();
    assert_eq!(reached, shape.all());
    assert_eq!(tree.root(&shape), Some(&id("t")));
    assert!(tree.edges.iter().any(|(_, to)| *to == id("a2")));
    losses.nodes.insert(id("t"));
    assert_eq!(around(&shape, &shape.trees[0], &losses, shape.all()), None);
}

prop_compose! {
    /// A random tree over up to ten nodes, with some nodes dead and some links cut.
    fn broken()(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
        ends in prop::collection::vec(any::<bool>(), 10),
        dead in prop::collection::vec(prop::bool::weighted(0.2), 10),
        cut in prop::collection::vec((0usize..10, 0usize..10), 0..12),
    ) -> (Topology, Losses) {
        let name = |at: usize| format!("n{at}x");
        let count = parents.len() + 1;
        let hops: Vec<String> = parents.iter().enumerate()
            .map(|(at, parent)| format!("{}>{}", name(parent.index(at + 1)), name(at + 1)))
            .collect();
        let names: Vec<String> = (0..count).map(name).collect();
        let mut ended: Vec<&str> = (1..count).filter(|at| ends[*at]).map(|at| &*names[at]).collect();
        if ended.is_empty() {
            ended.push(&names[count - 1]);
        }
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let hops: Vec<&str> = hops.iter().map(|hop| &**hop).collect();
        let shape = topology(&names, names[0], &ended, &hops);
        let mut losses = Losses::default();
        losses.nodes.extend((1..count).filter(|at| dead[*at]).map(|at| id(&name(at))));
        losses.links.extend(cut.iter().filter(|(from, to)| *from < count && *to < count)
            .map(|(from, to)| (id(&name(*from)), id(&name(*to)))));
        (shape, losses)
    }
}

proptest! {
    #[test]
    fn what_is_led_round_is_a_tree_that_uses_nothing_lost((shape, losses) in broken()) {
        shape.validate().unwrap();
        let led = around(&shape, &shape.trees[0], &losses, shape.all());
        if let Some((tree, reached)) = &led {
            Shape::of(&shape, tree, *reached).unwrap();
            for (from, to) in &tree.edges {
                prop_assert!(!losses.nodes.contains(from) && !losses.nodes.contains(to));
                prop_assert!(!losses.links.contains(&(from.clone(), to.clone())));
            }
        }
        // Without cut links, every living destination is reached: the source itself can always send.
        if losses.links.is_empty() {
            let living: DestinationSet = shape.destinations.iter().enumerate()
                .filter(|(_, end)| !losses.nodes.contains(&end.nodes[0]))
                .map(|(at, _)| at as u8)
                .collect();
            prop_assert_eq!(led.map_or(DestinationSet::default(), |(_, reached)| reached), living);
        }
    }

    #[test]
    fn nothing_lost_changes_nothing_that_leads_somewhere((shape, _) in broken()) {
        let (tree, reached) = around(&shape, &shape.trees[0], &Losses::default(), shape.all()).unwrap();
        prop_assert_eq!(reached, shape.all());
        prop_assert!(tree.edges.iter().all(|edge| shape.trees[0].edges.contains(edge)));
    }
}
