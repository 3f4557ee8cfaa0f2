//! What stands in the parentheses of `~SEQ(var, [start, [step,]] end)`, `~SEQx(...)` and
//! `~LST(var, value, ...)`, `~LST({var, var}, {value, value}, ...)` (keepalived.conf(5), "Sequence
//! blocks" and "List blocks").

use super::variables::is_name;

/// Which kind of loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    /// Numbers.
    Decimal,
    /// Numbers, written in hexadecimal.
    Hexadecimal,
    /// Values.
    List,
}

impl LoopKind {
    pub(super) fn find(word: &str) -> Option<LoopKind> {
        Some(match word {
            "~SEQ" => LoopKind::Decimal,
            "~SEQx" => LoopKind::Hexadecimal,
            "~LST" => LoopKind::List,
            _ => return None,
        })
    }
}

/// The turns of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turns {
    /// One variable that counts.
    Count {
        name: String,
        start: i64,
        step: i64,
        end: i64,
        hexadecimal: bool,
    },
    /// Variables, and what they are in each turn.
    List {
        names: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

impl Turns {
    pub(super) fn names(&self) -> &[String] {
        match self {
            Turns::Count { name, .. } => std::slice::from_ref(name),
            Turns::List { names, .. } => names,
        }
    }

    /// The values of one turn, from 0; `None` behind the last one.
    pub(super) fn turn(&self, index: u64) -> Option<Vec<String>> {
        match self {
            Turns::Count {
                start,
                step,
                end,
                hexadecimal,
                ..
            } => {
                let offset = i64::try_from(index).ok()?.checked_mul(*step)?;
                let value = start.checked_add(offset)?;
                let over = if *step > 0 {
                    value > *end
                } else {
                    value < *end
                };
                let text = match hexadecimal {
                    true => format!("{value:x}"),
                    false => value.to_string(),
                };
                (!over).then(|| vec![text])
            }
            Turns::List { rows, .. } => rows.get(usize::try_from(index).ok()?).cloned(),
        }
    }
}

/// Understands what stands in the parentheses.
///
/// # Errors
/// What is wrong with it, for a message.
pub(super) fn parse(kind: LoopKind, inside: &str) -> Result<Turns, String> {
    match kind {
        LoopKind::List => list(inside),
        LoopKind::Decimal => count(inside, false),
        LoopKind::Hexadecimal => count(inside, true),
    }
}

fn count(inside: &str, hexadecimal: bool) -> Result<Turns, String> {
    let mut fields = inside.split(',').map(str::trim);
    let name = name(fields.next().unwrap_or(""))?;
    let numbers = fields.map(number).collect::<Result<Vec<i64>, _>>()?;
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (None, None, end),
        [start, end] => (Some(start), None, end),
        [start, step, end] => (Some(start), Some(step), end),
        _ => return Err("it takes a name, then `[start, [step,]] end`".to_owned()),
    };
    let start = start.unwrap_or(if end < 0 { -1 } else { 1 });
    let step = step.unwrap_or(if end < start { -1 } else { 1 });
    if step == 0 || (end > start && step < 0) || (end < start && step > 0) {
        return Err(format!(
            "it never comes from {start} to {end} in steps of {step}"
        ));
    }
    if hexadecimal && (start < 0 || end < 0) {
        return Err("hexadecimal numbers cannot be negative".to_owned());
    }
    Ok(Turns::Count {
        name,
        start,
        step,
        end,
        hexadecimal,
    })
}

/// A number as in C: `0x10` is 16, `010` is 8.
fn number(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => (16, digits),
        (None, Some(digits)) if !digits.is_empty() => (8, digits),
        _ => (10, lower.as_str()),
    };
    let plain = digits.starts_with(|c: char| c.is_ascii_hexdigit());
    let value = i64::from_str_radix(digits, radix).ok().filter(|_| plain);
    let value = value.ok_or_else(|| format!("`{text}` is no whole number"))?;
    Ok(if negative { -value } else { value })
}

fn list(inside: &str) -> Result<Turns, String> {
    let mut fields = fields(inside)?.into_iter();
    let names: Vec<String> = match fields.next() {
        Some(words) => words.iter().map(|w| name(w)).collect::<Result<_, _>>()?,
        None => return Err("it takes a name, then values".to_owned()),
    };
    let mut rows: Vec<Vec<String>> = fields.collect();
    if rows.is_empty() {
        return Err("it has no values".to_owned());
    }
    for row in &mut rows {
        if row.len() > names.len() {
            let (values, names) = (row.len(), names.len());
            return Err(format!("{values} values stand for {names} variables"));
        }
        row.resize(names.len(), String::new());
    }
    Ok(Turns::List { names, rows })
}

/// What stands between the commas, what is in braces together.
fn fields(inside: &str) -> Result<Vec<Vec<String>>, String> {
    let mut fields = Vec::new();
    let mut rest = inside.trim_start();
    loop {
        let behind = if let Some(group) = rest.strip_prefix('{') {
            let Some((group, behind)) = group.split_once('}') else {
                return Err("a `{` is never closed".to_owned());
            };
            fields.push(values(group)?);
            behind.trim_start()
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (one, behind) = rest.split_at(end);
            fields.push(values(one)?);
            behind
        };
        match behind.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if behind.is_empty() => return Ok(fields),
            None => return Err(format!("a comma is missing before `{}`", behind.trim_end())),
        }
    }
}

fn values(text: &str) -> Result<Vec<String>, String> {
    let values: Vec<String> = text.split(',').map(|v| v.trim().to_owned()).collect();
    match values.iter().find(|v| v.contains(char::is_whitespace)) {
        Some(odd) => Err(format!("a value cannot hold blanks: `{odd}`")),
        None => Ok(values),
    }
}

fn name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no name of a variable")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kind: LoopKind, inside: &str) -> Vec<String> {
        let turns = parse(kind, inside).unwrap();
        let turns = (0..100).map_while(|i| turns.turn(i));
        turns.map(|values| values.join("/")).collect()
    }

    #[test]
    fn numbers_count_as_in_keepalived() {
        let seq = |inside| all(LoopKind::Decimal, inside);
        assert_eq!(seq("i,3"), ["1", "2", "3"]);
        assert_eq!(seq("i,-3"), ["-1", "-2", "-3"]);
        assert_eq!(seq("i,0"), ["1", "0"]);
        assert_eq!(seq("i,5,3"), ["5", "4", "3"]);
        assert_eq!(seq("i,1,2,6"), ["1", "3", "5"]);
        assert_eq!(seq(" i , 0x10 , 0x12 "), ["16", "17", "18"]);
        assert_eq!(seq("i,010,012"), ["8", "9", "10"]);
        assert_eq!(seq("i,4,4"), ["4"]);
        let max = format!("i,{},{}", i64::MAX - 1, i64::MAX);
        assert_eq!(seq(&max).len(), 2);
        assert_eq!(all(LoopKind::Hexadecimal, "i,8,11"), ["8", "9", "a", "b"]);
        assert_eq!(
            all(LoopKind::Hexadecimal, "i,0x12,-1,0x10"),
            ["12", "11", "10"]
        );
    }

    #[test]
    fn numbers_that_never_arrive_are_refused() {
        let odd = [
            "i,1,-2,6",
            "i,1,0,6",
            "i",
            "i,1,2,3,4",
            "i,x",
            "i,",
            "1i,2",
            "",
            "i,0x",
            "i,--1",
        ];
        for inside in odd {
            assert!(parse(LoopKind::Decimal, inside).is_err(), "{inside}");
        }
        assert!(parse(LoopKind::Hexadecimal, "i,-2,2").is_err());
    }

    #[test]
    fn lists_give_each_variable_its_value() {
        let list = |inside| all(LoopKind::List, inside);
        assert_eq!(list("i,a,b,c"), ["a", "b", "c"]);
        assert_eq!(list("i, a , b "), ["a", "b"]);
        assert_eq!(list("i,a,,c"), ["a", "", "c"]);
        assert_eq!(list("j,"), [""]);
        assert_eq!(list("{i, j},\t{1 , 2},{3}, {4,5}"), ["1/2", "3/", "4/5"]);
        assert_eq!(list("{i,j},1,2"), ["1/", "2/"]);
        for odd in [
            "i",
            "",
            "i,{1,2}",
            "i,b c",
            "{i,j} {a,b}",
            "{i",
            "1,2",
            "{},{}",
        ] {
            assert!(parse(LoopKind::List, odd).is_err(), "{odd}");
        }
    }
}
