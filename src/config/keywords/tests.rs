use super::*;

#[test]
fn no_name_stands_twice_in_a_block() {
    for kind in BlockKind::ALL {
        let mut names: Vec<_> = rows(kind).flat_map(Keyword::names).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(all, names.len(), "{kind:?}");
    }
}

#[test]
fn every_row_says_what_it_is() {
    for kind in BlockKind::ALL {
        for row in rows(kind) {
            assert!(row.doc.ends_with('.'), "{}", row.name);
            assert!(row.doc.len() <= 90, "{}", row.name);
        }
    }
}

#[test]
fn other_names_lead_to_the_same_row() {
    let row = find(BlockKind::VirtualServer, "lb_algo").unwrap();
    assert_eq!(row.name, "lvs_sched");
    assert!(find(BlockKind::VrrpInstance, "lb_algo").is_none());
    assert_eq!(
        blocks_of("auth_type").collect::<Vec<_>>(),
        [BlockKind::Authentication]
    );
}

#[test]
fn keywords_that_also_stand_elsewhere_do_not_begin_root_blocks() {
    assert!(is_root_block("vrrp_instance"));
    assert!(is_root_block("virtual_server"));
    assert!(!is_root_block("track_file"));
    assert!(!is_root_block("instance"));
}
