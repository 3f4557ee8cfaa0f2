use super::*;
use crate::config::Options;
use crate::config::keywords::ROOT_BLOCKS;
use crate::config::lexer::lex;

fn build(text: &str) -> (Tree, SourceMap, Vec<Diagnostic>) {
    let mut sources = SourceMap::default();
    let file = sources.add("k.conf".into(), text.into()).unwrap();
    let mut diagnostics = Diagnostics::default();
    let tokens = lex(text, file, &Options::default(), &mut diagnostics);
    let tree = Tree::parse(file, tokens, &sources, ROOT_BLOCKS, &mut diagnostics);
    (tree, sources, diagnostics.iter().cloned().collect())
}

/// The same without packed blocks, and with them after all is looked at.
fn both(text: &str) -> [String; 2] {
    let mut sources = SourceMap::default();
    let file = sources.add("k.conf".into(), text.into()).unwrap();
    let tokens = lex(text, file, &Options::default(), &mut Diagnostics::default());
    [ROOT_BLOCKS.all_read(), ROOT_BLOCKS].map(|roots| {
        let mut diagnostics = Diagnostics::default();
        let mut tree = Tree::parse(file, tokens.clone(), &sources, roots, &mut diagnostics);
        let mut unpacker = Unpacker::default();
        for item in &mut tree.items {
            if let Item::Statement(statement) = item {
                *statement = statement.unpacked(&mut unpacker).into_owned();
            }
        }
        format!("{tree:?} {:?}", diagnostics.iter().collect::<Vec<_>>())
    })
}

#[test]
fn blocks_of_which_there_are_many_stay_packed() {
    let (tree, sources, _) = build("vrrp_instance A {\n b { c }\n}\nvrrp_script s {\n d\n}\n");
    let packed: Vec<bool> = tree
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Statement(statement) => statement.block.as_ref(),
            _ => None,
        })
        .map(|block| block.packed.is_some())
        .collect();
    assert_eq!(packed, [true, false]);
    let text = sources.file(tree.file).unwrap().text();
    assert_eq!(tree.print(&sources), text);
}

proptest::proptest! {
    #[test]
    fn a_packed_block_holds_what_it_would_have_otherwise(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "virtual_server", "vrrp_instance", "a", "\"b c\"", "{", "{", "}", "}", "\n", "\n", "# x\n",
            ]),
            0..40,
        )
    ) {
        let [read, packed] = both(&words.join(" "));
        proptest::prop_assert_eq!(read, packed);
    }
}

fn place_of(text: &str) -> (Code, String) {
    let (_, sources, problems) = build(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = &problems[0];
    let place = sources.place(problem.span.unwrap()).unwrap().to_string();
    (problem.code, place)
}

#[test]
fn the_file_comes_back_when_printed() {
    for text in [
        "",
        "a b\n{ c { d } e }\n\n# end",
        "} a {{{ \"x",
        "! c\r\nx\t{y}\r\n",
    ] {
        let (tree, sources, _) = build(text);
        assert_eq!(tree.print(&sources), text);
    }
}

#[test]
fn a_brace_may_open_on_the_next_line() {
    let (tree, _, problems) = build("vrrp_script a\n\n{\n b c\n}\n");
    assert!(problems.is_empty());
    let [Item::Statement(statement)] = &*tree.items else {
        panic!("{:?}", tree.items);
    };
    assert_eq!(statement.words.len(), 2);
    assert_eq!(statement.block.as_ref().unwrap().items.len(), 1);
}

#[test]
fn a_missing_brace_is_said_where_it_was_opened() {
    let inner = "vrrp_instance A {\n    vips {\n        x\n}\nvrrp_instance B {\n}\n";
    assert_eq!(place_of(inner), (Code::MissingBrace, "k.conf:2:10".into()));
    let outer = "vrrp_instance A {\n    vips {\n        x\n    }\nvrrp_instance B {\n}\n";
    assert_eq!(place_of(outer), (Code::MissingBrace, "k.conf:1:17".into()));
    let last = "vrrp_instance A {\n  vips {\n    x\n  }\n";
    assert_eq!(place_of(last), (Code::MissingBrace, "k.conf:1:17".into()));
}

#[test]
fn what_follows_a_missing_brace_is_still_read() {
    let (tree, _, _) = build("vrrp_instance A {\n b\nvrrp_instance B {\n c\n}\n");
    let damaged: Vec<bool> = tree.items.iter().map(is_damaged).collect();
    assert_eq!(damaged, [true, false]);
}

#[test]
fn a_brace_too_many_is_said_once() {
    assert_eq!(
        place_of("a {\n}\n}\n"),
        (Code::ExtraBrace, "k.conf:3:1".into())
    );
}

#[test]
fn depth_is_bounded() {
    let deep = "a {\n".repeat(5000) + &"}\n".repeat(5000);
    let (tree, sources, problems) = build(&deep);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, Code::TooDeep);
    assert_eq!(tree.print(&sources), deep);
}
