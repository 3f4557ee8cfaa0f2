use proptest::prelude::*;

use super::*;

fn at(n: u8) -> Endpoint {
    Endpoint::new([10, 1, 0, n].into(), 3306)
}

fn up(n: u8) -> Candidate<'static> {
    Candidate {
        server: at(n),
        up: true,
        heard: true,
        place: None,
    }
}

fn down(n: u8) -> Candidate<'static> {
    Candidate { up: false, ..up(n) }
}

fn unheard(n: u8) -> Candidate<'static> {
    Candidate {
        heard: false,
        ..up(n)
    }
}

fn node(n: u8, uuid: &'static str, index: u32) -> Candidate<'static> {
    Candidate {
        place: Some((uuid, index)),
        ..up(n)
    }
}

const ORDER: OneWriter = OneWriter {
    order: WriterOrder::Order,
    failback: false,
};
const INDEX: OneWriter = OneWriter {
    order: WriterOrder::Index,
    failback: false,
};

/// Who is the writer after each of these.
fn run(rule: OneWriter, steps: &[Vec<Candidate<'_>>]) -> Vec<Option<Endpoint>> {
    let mut writer = Writer::default();
    let step = |candidates: &Vec<Candidate<'_>>| {
        writer = writer.after(rule, candidates);
        writer.server()
    };
    steps.iter().map(step).collect()
}

#[test]
fn it_stays_until_it_fails_and_fails_back_only_if_wanted() {
    let steps = [
        vec![up(1), up(2), up(3)],
        vec![down(1), up(2), up(3)],
        vec![up(1), up(2), up(3)],
        vec![up(1), down(2), down(3)],
        vec![down(1), down(2), down(3)],
        vec![down(1), down(2), up(3)],
    ];
    let (one, two, three) = (Some(at(1)), Some(at(2)), Some(at(3)));
    assert_eq!(run(ORDER, &steps), [one, two, two, one, None, three]);
    let back = OneWriter {
        failback: true,
        ..ORDER
    };
    assert_eq!(run(back, &steps), [one, two, one, one, None, three]);
}

#[test]
fn the_first_writer_waits_for_who_may_come_before_it() {
    let steps = [
        vec![unheard(1), unheard(2), unheard(3)],
        vec![unheard(1), up(2), unheard(3)],
        vec![down(1), up(2), unheard(3)],
        // From then on nobody is waited for.
        vec![unheard(1), down(2), up(3)],
    ];
    assert_eq!(run(ORDER, &steps), [None, None, Some(at(2)), Some(at(3))]);
    let by_index = run(INDEX, &steps);
    assert_eq!(by_index, [None, None, None, None], "1 is not heard");
    let steps = [vec![up(1), up(2)], vec![unheard(1), down(2)]];
    assert_eq!(run(ORDER, &steps), [Some(at(1)), Some(at(1))], "it is one");
}

#[test]
fn the_lowest_node_is_the_writer_whatever_their_order_in_the_file() {
    let nodes = vec![up(1), node(2, "b", 1), node(3, "a", 0)];
    assert_eq!(run(INDEX, &[nodes]), [Some(at(3))]);
    // 2 answered before the view changed, 3 after it.
    let views = vec![node(2, "b", 0), node(3, "a", 0)];
    assert_eq!(run(INDEX, &[views]), [Some(at(3))]);
    let views = vec![node(2, "b", 1), node(3, "a", 2)];
    assert_eq!(run(INDEX, &[views]), [Some(at(3))]);
    let no_names = vec![node(2, "", 1), node(3, "", 0)];
    assert_eq!(run(INDEX, &[no_names]), [Some(at(3))]);
    let nobody_says = vec![up(1), up(2)];
    assert_eq!(run(INDEX, &[nobody_says]), [Some(at(1))]);
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Four nodes of a cluster as a director sees them: which are up, and their names, in the order of its file.
fn view(order: [usize; 4], up: [bool; 4], heard: [bool; 4]) -> Vec<Candidate<'static>> {
    let number = |node: usize| u8::try_from(node).unwrap();
    let candidate = |node: usize| Candidate {
        up: up[node],
        heard: heard[node],
        ..node_of(number(node), node)
    };
    order.map(candidate).to_vec()
}

/// Its index is that of an earlier view: what two nodes say need not agree.
fn node_of(n: u8, at: usize) -> Candidate<'static> {
    node(n, NAMES[at], u32::from(3 - n))
}

fn any_order() -> impl Strategy<Value = [usize; 4]> {
    Just([0, 1, 2, 3]).prop_shuffle()
}

proptest! {
    /// Whatever they saw before, and however their files are ordered: directors that fail back and see the same
    /// have the same writer, the lowest node of those that are up.
    #[test]
    fn directors_that_see_the_same_cluster_have_the_same_writer(
        orders in [any_order(), any_order()],
        pasts in prop::array::uniform2(prop::collection::vec(any::<([bool; 4], [bool; 4])>(), 0..6)),
        now: [bool; 4],
    ) {
        let rule = OneWriter { failback: true, ..INDEX };
        let heard = [true; 4];
        let writers = [0, 1].map(|director| {
            let order = orders[director];
            let past = pasts[director].iter().map(|(up, heard)| view(order, *up, *heard));
            let steps: Vec<_> = past.chain([view(order, now, heard)]).collect();
            run(rule, &steps).last().copied().flatten()
        });
        let lowest = (0..4).find(|node| now[*node]);
        let lowest = lowest.map(|node| at(u8::try_from(node).unwrap()));
        prop_assert_eq!(writers, [lowest, lowest]);
    }

    /// Servers answer them in different orders, and while nobody fails they begin with the same writer, by either
    /// rule, and keep it.
    #[test]
    fn directors_that_start_begin_with_the_same_writer(
        answers in [any_order(), any_order()],
        now: [bool; 4],
        failback: bool,
        by_index: bool,
    ) {
        let order = if by_index { WriterOrder::Index } else { WriterOrder::Order };
        let rule = OneWriter { order, failback };
        let writers = answers.map(|answers| {
            // Until its checks have answered a server counts as up, and has not said its name.
            let mut heard = [false; 4];
            let mut steps = vec![unnamed(now, heard)];
            for node in answers {
                heard[node] = true;
                steps.push(unnamed(now, heard));
            }
            let seen = run(rule, &steps);
            let first = seen.iter().flatten().next().copied();
            let last = seen.last().copied().flatten();
            prop_assert_eq!(first, last, "it moved while nothing happened");
            Ok(last)
        });
        let [one, other] = writers;
        let (one, other) = (one?, other?);
        prop_assert_eq!(one, other);
        prop_assert_eq!(one.is_some(), now.contains(&true));
    }
}

fn unnamed(now: [bool; 4], heard: [bool; 4]) -> Vec<Candidate<'static>> {
    let up = [0, 1, 2, 3].map(|node| now[node] || !heard[node]);
    let mut all = view([0, 1, 2, 3], up, heard);
    for candidate in all.iter_mut().filter(|candidate| !candidate.heard) {
        candidate.place = None;
    }
    all
}
