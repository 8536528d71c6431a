//! What a reviewer would otherwise have to watch: layers, the home of SQL and of the clock, heads, lengths, printed
//! documents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use renewd::{event, renewal};

/// A source file, once as it is and once with everything in strings and comments blanked out.
struct Source {
    /// Below the root of the repository.
    path: String,
    text: String,
    code: String,
}

#[test]
fn every_layer_uses_those_on_its_left_only() {
    let layers = layers();
    let place = |module: &str| {
        layers
            .iter()
            .position(|layer| layer.iter().any(|m| m == module))
    };
    for source in sources("src") {
        let module = module_of(&source.path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let own = place(&module).unwrap_or_else(|| panic!("src/lib.rs's map lacks {module}"));
        for used in used_modules(&source.code) {
            let other = place(&used).unwrap_or_else(|| panic!("{}: crate::{used}?", source.path));
            assert!(
                used == module || other < own,
                "{} uses crate::{used}, which is not on the left of {module} in the map of src/lib.rs",
                source.path
            );
        }
    }
}

#[test]
fn the_map_holds_every_module_once() {
    let mapped: Vec<String> = layers().into_iter().flatten().collect();
    let unique: BTreeSet<&String> = mapped.iter().collect();
    assert_eq!(unique.len(), mapped.len(), "{mapped:?}");
    let modules: BTreeSet<String> = sources("src").iter().map(|s| module_of(&s.path)).collect();
    for module in mapped {
        assert!(modules.contains(&module), "there is no module {module}");
    }
}

#[test]
fn sql_lives_in_the_store_only() {
    for source in sources("src") {
        if source.path.starts_with("src/store/") {
            continue;
        }
        assert!(!source.code.contains("sqlx::"), "{} uses sqlx", source.path);
        for statement in [
            "SELECT ",
            "INSERT INTO",
            "UPDATE ",
            "DELETE FROM",
            "CREATE TABLE",
        ] {
            assert!(
                !source.text.contains(statement),
                "{} holds {statement:?}",
                source.path
            );
        }
    }
}

#[test]
fn only_the_clock_reads_the_clock_and_only_random_draws() {
    for source in sources("src") {
        for (call, home) in [
            ("Timestamp::now(", "src/clock.rs"),
            ("SystemTime::now(", "src/clock.rs"),
            ("Zoned::now(", "src/clock.rs"),
            ("SystemRandom::new(", "src/random.rs"),
        ] {
            let is_home = source.path == home;
            assert!(
                is_home || !source.code.contains(call),
                "{} calls {call}",
                source.path
            );
        }
    }
}

#[test]
fn every_queue_has_a_bound() {
    for source in sources("src").into_iter().chain(sources("dns/src")) {
        for call in ["unbounded", "mpsc::channel()", "UnboundedSender"] {
            assert!(
                !source.code.contains(call),
                "{} has a queue without a bound: {call}",
                source.path
            );
        }
    }
}

#[test]
fn every_lookup_and_connection_has_a_deadline() {
    for source in sources("src") {
        if source.path.contains("test") {
            continue;
        }
        let code = code_without_tests(&source.code);
        let waits = code.contains("lookup_host(") || code.contains("TcpStream::connect(");
        let is_bounded = ["timeout(", "timeout_at(", "within("]
            .iter()
            .any(|limit| code.contains(limit));
        assert!(
            !waits || is_bounded,
            "{} looks up or connects without a deadline",
            source.path
        );
    }
}

#[test]
fn every_file_begins_with_its_purpose() {
    for source in sources("src").into_iter().chain(sources("tests")) {
        assert!(
            source.text.starts_with("//! "),
            "{} has no head comment",
            source.path
        );
    }
}

#[test]
fn no_function_needs_a_scroll() {
    for source in sources("src") {
        for (name, lines) in functions(&source.code) {
            assert!(
                lines <= LONGEST_FUNCTION,
                "{}: {name} has {lines} lines",
                source.path
            );
        }
    }
}

#[test]
fn the_printed_documents_are_fresh() {
    for (file, printed, command) in [
        ("docs/events.md", event::document(), "events"),
        ("docs/states.md", renewal::state::document(), "states"),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(
            text == printed,
            "{file} is stale: cargo run -- {command} > {file}"
        );
    }
}

#[test]
fn the_counter_counts_what_it_should() {
    let text = "fn one() {\n}\nimpl X {\n    pub async fn two(a: [u8; 2]) -> u8 {\n        let s = \"}\";\n        \
                let c = '}';\n    }\n    fn three(&self);\n}\n";
    let counted = functions(&code_of(text));
    assert_eq!(counted, [("one".to_owned(), 2), ("two".to_owned(), 4)]);
    assert_eq!(
        used_modules("use crate::{a::B, c::{d, e}}; crate::f::g()"),
        ["a", "c", "f"]
    );
    assert_eq!(
        code_of("a // b\nr#\"c\"# 'd' 'e /* f */ \"\\\"g\" h").replace(' ', ""),
        "a\n'eh"
    );
}

/// The part above the tests of a file.
fn code_without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]").next().unwrap_or(code)
}

/// The groups between the bars of the map in the head of src/lib.rs.
fn layers() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let head: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let head = head.join(" ");
    let map = head
        .split('`')
        .find(|part| part.contains(" | "))
        .expect("a map");
    map.split('|')
        .map(|layer| layer.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// `store` of `src/store/row.rs`.
fn module_of(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or_default().to_owned()
}

/// The first names behind `crate::`, also of a group in braces.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let is_macro = code[..start].ends_with('$');
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            _ if is_macro => used.push(word(rest)),
            None => used.push(word(rest)),
            Some(group) => used.extend(group_members(group)),
        }
    }
    used.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    used
}

fn group_members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut members = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0
            && c != ','
            && let Some(member) = members.last_mut()
        {
            member.push(c);
        }
    }
    members
        .iter()
        .map(|member| word(member.trim()))
        .filter(|name| !name.is_empty())
        .collect()
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

/// Every function that has a body, and how many lines it has.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let is_word = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[start..];
        let name = word(&rest["fn ".len()..]);
        let length = body_end(rest).filter(|_| is_word && !name.is_empty());
        found.extend(length.map(|end| (name, rest[..end].lines().count())));
    }
    found
}

/// Where the body ends that follows a signature; `None` when there is none.
fn body_end(code: &str) -> Option<usize> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Strings, characters and comments out; lines stay lines.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = skipped(rest);
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// How many bytes of a string, character or comment begin here.
fn skipped(text: &str) -> usize {
    let to = |end: &str, from: usize| {
        text[from..]
            .find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        to("*/", 2)
    } else if text.starts_with("r#\"") {
        to("\"#", 3)
    } else if text.starts_with('"') {
        quoted(text, '"')
    } else if text.starts_with("'\\") || text.chars().nth(2) == Some('\'') && text.starts_with('\'')
    {
        quoted(text, '\'')
    } else {
        0
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    assert!(!paths.is_empty());
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        Source {
            path: path.strip_prefix(root()).unwrap().display().to_string(),
            code: code_of(&text),
            text,
        }
    };
    paths.into_iter().map(source).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

const LONGEST_FUNCTION: usize = 60;
