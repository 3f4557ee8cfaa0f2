//! What Cargo.toml says of packages.

const MANIFEST: &str = include_str!("../../Cargo.toml");

/// Lines of a section of Cargo.toml.
pub(crate) fn section(name: &str) -> String {
    let mut inside = false;
    let mut lines = String::new();
    for line in MANIFEST.lines() {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.trim_end_matches(']') == name;
        }
        if inside {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    assert!(!lines.is_empty(), "Cargo.toml has no [{name}]");
    lines
}

/// (source, destination without the first slash) of each asset.
pub(crate) fn assets(name: &str) -> Vec<(String, String)> {
    let quoted = |line: &str| -> Vec<String> {
        line.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let lines = section(name);
    let found: Vec<(String, String)> = lines
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("[\"") || line.starts_with("{ source"))
        .filter_map(|line| match &quoted(line)[..] {
            [source, dest, ..] => {
                let dest = dest.trim_start_matches('/');
                Some((source.clone(), dest.to_owned()))
            }
            _ => None,
        })
        .collect();
    assert!(found.len() >= 3, "{found:?}");
    found
}
