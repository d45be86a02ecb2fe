use super::*;
use crate::topology::tests::{id, topology};
use crate::topology::{Topology, Tree};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn compiled(topology: &Topology) -> BTreeMap<NodeId, Program> {
    let trees: Vec<Carried> = topology
        .trees
        .iter()
        .enumerate()
        .map(|(at, tree)| Carried {
            id: TreeId(at as u32),
            group: 0,
            tree: tree.clone(),
            wanted: topology.all(),
        })
        .collect();
    let addresses = topology.nodes.iter().enumerate();
    let addresses: BTreeMap<NodeId, String> = addresses
        .map(|(at, node)| (node.id.clone(), format!("10.0.0.{at}:7400")))
        .collect();
    let addresses = |_: &NodeId, to: &NodeId| addresses.get(to).cloned();
    compile(JobId(0xbeef), topology, &trees, &addresses).unwrap()
}

fn printed(programs: &BTreeMap<NodeId, Program>) -> String {
    programs
        .values()
        .map(|program| program.to_string())
        .collect()
}

#[test]
fn each_node_gets_its_own_small_program() {
    let mut shape = topology(
        &["s", "r", "a", "b"],
        "s",
        &["a", "b"],
        &["s>r", "r>a", "a>b"],
    );
    shape.compress = true;
    insta::assert_snapshot!(printed(&compiled(&shape)), @r"
    node a of job 000000000000beef
      tree 0
        0: receive from r
        1: tee <- 0
        2: send to b at 10.0.0.3:7400, 2 connections, for destinations 1 <- 1
        3: open <- 1
        4: decompress <- 3
        5: write a (destination 0) <- 4
    node b of job 000000000000beef
      tree 0
        0: receive from a
        1: open <- 0
        2: decompress <- 1
        3: write b (destination 1) <- 2
    node r of job 000000000000beef
      tree 0
        0: receive from s
        1: send to a at 10.0.0.2:7400, 2 connections, for destinations 0,1 <- 0
    node s of job 000000000000beef
      tree 0
        0: read
        1: compress <- 0
        2: seal <- 1
        3: send to r at 10.0.0.1:7400, 2 connections, for destinations 0,1 <- 2
    ");
}

#[test]
fn a_source_that_is_a_destination_writes_what_it_read_and_seals_what_it_sends() {
    let shape = topology(&["s", "a", "b"], "s", &["s", "a", "b"], &["s>a", "s>b"]);
    insta::assert_snapshot!(printed(&compiled(&shape)), @r"
    node a of job 000000000000beef
      tree 0
        0: receive from s
        1: open <- 0
        2: write a (destination 1) <- 1
    node b of job 000000000000beef
      tree 0
        0: receive from s
        1: open <- 0
        2: write b (destination 2) <- 1
    node s of job 000000000000beef
      tree 0
        0: read
        1: tee <- 0
        2: seal <- 1
        3: tee <- 2
        4: send to a at 10.0.0.1:7400, 2 connections, for destinations 1 <- 3
        5: send to b at 10.0.0.2:7400, 2 connections, for destinations 2 <- 3
        6: write s (destination 0) <- 1
    ");
}

#[test]
fn a_job_within_one_node_has_no_hop() {
    let mut shape = topology(&["s"], "s", &["s"], &[]);
    shape.trees = vec![Tree {
        stripes: 1,
        edges: Vec::new(),
    }];
    let programs = compiled(&shape);
    insta::assert_snapshot!(printed(&programs), @r"
    node s of job 000000000000beef
      tree 0
        0: read
        1: write s (destination 0) <- 0
    ");
    assert!(!programs[&id("s")].needs_key());
}

#[test]
fn only_the_ends_need_the_key() {
    let shape = topology(&["s", "r", "a"], "s", &["a"], &["s>r", "r>a"]);
    let programs = compiled(&shape);
    let needing: Vec<_> = programs
        .values()
        .filter(|program| program.needs_key())
        .map(|program| &program.node)
        .collect();
    assert_eq!(needing, [&id("a"), &id("s")]);
}

#[test]
fn programs_survive_json_and_the_wire() {
    let mut shape = topology(&["s", "a"], "s", &["a"], &["s>a"]);
    shape.destinations[0].sink = serde_json::json!({"bucket": "b", "parts": [1, 2]});
    for program in compiled(&shape).values() {
        let text = serde_json::to_string(program).unwrap();
        assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), *program);
    }
}

#[test]
fn a_program_from_outside_must_keep_the_rules() {
    let shape = topology(
        &["s", "r", "a", "b"],
        "s",
        &["a", "b"],
        &["s>r", "r>a", "r>b"],
    );
    let good = compiled(&shape).remove(&id("r")).unwrap();
    good.validate().unwrap();
    let spoil: [fn(&mut Route); 6] = [
        |route| route.wires.push((0, 1)),
        |route| route.wires[0] = (0, 0),
        |route| route.wires[1] = (9, 2),
        |route| route.operators[1] = Operator::Open,
        |route| route.operators[0] = Operator::Tee,
        |route| {
            route.operators.truncate(1);
            route.wires.clear();
        },
    ];
    for (at, spoil) in spoil.iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad.routes[0]);
        assert!(bad.validate().is_err(), "case {at}: {bad}");
    }
    let mut bad = good;
    bad.chunk_bytes = u32::MAX;
    assert!(bad.validate().is_err());
}

proptest! {
    #[test]
    fn whatever_is_compiled_keeps_the_rules_and_delivers_everything_once(
        parents in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        ends in prop::collection::vec(any::<bool>(), 13),
        compress in any::<bool>(),
    ) {
        let names: Vec<String> = (0..=parents.len()).map(|at| format!("n{at}x")).collect();
        let hops: Vec<String> = parents.iter().enumerate()
            .map(|(at, parent)| format!("{}>{}", names[parent.index(at + 1)], names[at + 1]))
            .collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let hops: Vec<&str> = hops.iter().map(|hop| &**hop).collect();
        let mut ended: Vec<&str> = names.iter().enumerate().filter(|(at, _)| ends[*at]).map(|(_, name)| *name).collect();
        if ended.is_empty() {
            ended.push(names[1]);
        }
        let mut shape = topology(&names, names[0], &ended, &hops);
        shape.compress = compress;
        let programs = compiled(&shape);
        let mut written = vec![0; ended.len()];
        for program in programs.values() {
            program.validate().unwrap();
            for operator in program.routes.iter().flat_map(|route| &route.operators) {
                if let Operator::Write { destination, .. } = operator {
                    written[usize::from(*destination)] += 1;
                }
                if let Operator::Send { to, .. } = operator {
                    let next = &programs[to].routes[0].operators[0];
                    prop_assert_eq!(next, &Operator::Receive { from: program.node.clone() });
                }
            }
        }
        prop_assert!(written.iter().all(|count| *count == 1), "{:?}", written);
    }
}
