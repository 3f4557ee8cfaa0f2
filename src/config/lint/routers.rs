//! Files of several routers, read together: whether what they track can move the addresses between them.

use crate::config::model::{Instance, Weight};
use crate::config::{Loaded, Origins};
use crate::units::Priority;

use super::{risk, weights};

/// Compares every two files: an instance with the same VRID and family in both is the same virtual router.
/// What is found is said in the file whose weights are too small.
pub fn compare(files: &mut [Loaded]) {
    let mut found = Vec::new();
    for (number, file) in files.iter().enumerate() {
        for other in files.iter().skip(number + 1) {
            let pairs = same_routers(file, other);
            for (a, b) in pairs {
                let (better, other, at) = match Range::of(a).well >= Range::of(b).well {
                    true => (a, b, number),
                    false => (
                        b,
                        a,
                        files
                            .iter()
                            .position(|f| std::ptr::eq(f, other))
                            .unwrap_or(number),
                    ),
                };
                if let Some(message) = never_inverted(better, other) {
                    found.push((at, better.name.clone(), message));
                }
            }
        }
    }
    for (number, instance, message) in found {
        if let Some(file) = files.get_mut(number) {
            let span = span(&file.origins, &instance);
            file.diagnostics.push(
                risk(span, message)
                    .label("what it tracks may fail, and nothing moves")
                    .note("keepalived does the same")
                    .hint(
                        "use a weight that is larger than the difference of the priorities"
                            .to_owned(),
                    ),
            );
        }
    }
}

fn span(origins: &Origins, instance: &str) -> Option<crate::config::Span> {
    origins.instances.get(instance).copied()
}

fn same_routers<'a>(a: &'a Loaded, b: &'a Loaded) -> Vec<(&'a Instance, &'a Instance)> {
    let instances = |loaded: &'a Loaded| {
        let instances = loaded.config.iter().flat_map(|c| &c.instances);
        instances.map(|instance| &**instance)
    };
    instances(a)
        .flat_map(|one| {
            instances(b)
                .filter(|other| (one.vrid, one.family) == (other.vrid, other.family))
                .map(move |other| (one, other))
        })
        .collect()
}

/// Where the priority of a router can go by the things that it tracks.
struct Range {
    /// While all is well.
    well: i32,
    /// While everything fails.
    failing: i32,
}

impl Range {
    fn of(instance: &Instance) -> Range {
        let base = i32::from(instance.priority.get());
        let mut range = Range {
            well: base,
            failing: base,
        };
        for (_, weight) in weights(instance) {
            if let Weight::Priority { delta, when_up } = weight {
                match when_up {
                    true => range.well += i32::from(delta),
                    false => range.failing += i32::from(delta),
                }
            }
        }
        if instance.priority != Priority::OWNER {
            range.well = range.well.clamp(1, 254);
            range.failing = range.failing.clamp(1, 254);
        }
        range
    }
}

/// The better router tracks something with a weight, and would stay the better one if all of it failed.
fn never_inverted(better: &Instance, other: &Instance) -> Option<String> {
    let weighs = weights(better).any(|(_, weight)| weight != Weight::Fault);
    // A fault takes it out of the election, a file may say any number, an owner was spoken of.
    let moves_otherwise = weights(better).any(|(_, weight)| weight == Weight::Fault)
        || !better.more.track_files.is_empty()
        || better.priority.is_owner();
    let (range, theirs) = (Range::of(better), Range::of(other).well);
    if !weighs || moves_otherwise || range.failing <= theirs {
        return None;
    }
    Some(format!(
        "the weights of `{}` never move it: {} while all is well, {} when everything fails, still more \
         than {theirs} of `{}` in the other file",
        better.name, range.well, range.failing, other.name
    ))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{Files, Options, load};

    struct One(String);

    impl Files for One {
        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone().into_bytes())
        }

        fn exists(&self, _: &Path) -> bool {
            false
        }

        fn glob(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    fn router(priority: u8, weight: i32, more: &str) -> Loaded {
        let text = format!(
            "vrrp_script chk {{\n script \"/bin/true\"\n weight {weight}\n}}\n\
             vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n {more}\n \
             track_script {{ chk }}\n virtual_ipaddress {{ 10.0.0.9 }}\n}}\n"
        );
        load(Path::new("k.conf"), &One(text), &Options::default())
    }

    /// What is said of the first and of the second file.
    fn said(mut files: [Loaded; 2]) -> [usize; 2] {
        compare(&mut files);
        files.map(|file| {
            let texts = file.diagnostics.iter().map(|d| d.message.clone());
            texts.filter(|text| text.contains("never move it")).count()
        })
    }

    #[test]
    fn a_weight_smaller_than_the_difference_is_told_where_it_stands() {
        assert_eq!(said([router(150, -20, ""), router(100, -20, "")]), [1, 0]);
        assert_eq!(said([router(100, -20, ""), router(150, -20, "")]), [0, 1]);
        assert_eq!(said([router(150, 20, ""), router(100, 20, "")]), [1, 0]);
        assert_eq!(said([router(110, -20, ""), router(100, -20, "")]), [0, 0]);
        assert_eq!(
            said([router(120, -20, ""), router(100, -20, "")]),
            [0, 0],
            "equal: the address decides"
        );
        assert_eq!(said([router(110, 20, ""), router(100, 20, "")]), [0, 0]);
    }

    #[test]
    fn a_fault_moves_whatever_the_weights() {
        assert_eq!(said([router(150, 0, ""), router(100, 0, "")]), [0, 0]);
        let fault = "track_interface {\n eth1\n }";
        assert_eq!(
            said([router(150, -20, fault), router(100, -20, "")]),
            [0, 0]
        );
    }
}
