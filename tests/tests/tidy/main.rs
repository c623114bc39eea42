//! The tree is tidy: sizes, unsafe code, words and paths, as docs/STYLE.md has them.

mod source;

use source::{Function, code_of, functions, has_word};
use testkit::{expect_none, files, members, read};

/// Lines of code in a function's body; longer ones say why.
const FUNCTION_LINES_MAX: usize = 70;

/// Lines of a file. The soft limit of docs/STYLE.md is lower.
const FILE_LINES_MAX: usize = 1000;

/// Lines above a function among which its attributes are looked for.
const ATTRIBUTE_LINES_MAX: usize = 12;

#[test]
fn files_are_small() {
    let mut findings = Vec::new();
    for path in rust_files() {
        let lines = read(&path).lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{path}: {lines} lines"));
        }
    }
    expect_none(&format!("files of more than {FILE_LINES_MAX} lines"), &findings);
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for path in rust_files() {
        let source = read(&path);
        for function in functions(&code_of(&source)) {
            if function.body_lines > FUNCTION_LINES_MAX && !says_why_it_is_long(&source, &function) {
                let Function { name, line, body_lines } = function;
                findings.push(format!("{path}:{line}: {name} has {body_lines} lines"));
            }
        }
    }
    expect_none(
        &format!(
            "functions of more than {FUNCTION_LINES_MAX} lines without \
             #[allow(clippy::too_many_lines, reason = \"...\")]"
        ),
        &findings,
    );
}

#[test]
fn unsafe_code_is_in_listed_modules_only() {
    let list = unsafe_list();
    let mut used = vec![false; list.len()];
    let mut findings = Vec::new();
    for path in rust_files() {
        let source = read(&path);
        if !has_word(&code_of(&source), concat!("un", "safe")) {
            continue;
        }
        match list.iter().position(|listed| matches(listed, &path)) {
            None => findings.push(format!("{path} is not in the list of docs/STYLE.md")),
            Some(position) => used[position] = true,
        }
        if !source.contains("UNSAFETY:") && !folder_text(&path).contains("UNSAFETY:") {
            findings.push(format!("{path} does not say why it needs it (UNSAFETY:)"));
        }
    }
    let stale = list.iter().zip(used).filter(|(_, used)| !used);
    findings.extend(stale.map(|(listed, _)| format!("{listed} is listed in docs/STYLE.md and has none")));
    expect_none("unsafe code", &findings);
}

#[test]
fn crates_without_unsafe_code_forbid_it() {
    let list = unsafe_list();
    let mut findings = Vec::new();
    for member in members() {
        if list.iter().any(|listed| listed.starts_with(&format!("{member}/"))) {
            continue;
        }
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| format!("{member}/{root}"));
        for root in roots.iter().filter(|root| testkit::root().join(root).exists()) {
            if !read(root).contains("#![forbid(unsafe_code)]") {
                findings.push(root.clone());
            }
        }
    }
    expect_none("crates that have no unsafe code and do not forbid it", &findings);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let in_code =
        [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("#[ig", "nore"), concat!("dbg", "!")];
    let anywhere = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
    let mut findings = Vec::new();
    for path in text_files() {
        let source = read(&path);
        for (number, line) in source.lines().enumerate() {
            let rust = path.ends_with(".rs");
            let in_code = in_code.iter().filter(|word| rust && line.contains(**word));
            let found = in_code.chain(anywhere.iter().filter(|word| has_word(line, word)));
            findings.extend(found.map(|word| format!("{path}:{}: {word}", number + 1)));
        }
    }
    expect_none("work left for later", &findings);
}

#[test]
fn no_path_of_a_developers_machine_is_written_down() {
    let prefixes = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut findings = Vec::new();
    for path in text_files() {
        for (number, line) in read(&path).lines().enumerate() {
            for prefix in prefixes {
                let absolute = line.match_indices(prefix).any(|(start, _)| {
                    let before = line[..start].bytes().next_back();
                    !before.is_some_and(|byte| source::is_word(byte) || b"./}$-*".contains(&byte))
                });
                if absolute {
                    findings.push(format!("{path}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    expect_none("paths that exist on one machine only", &findings);
}

fn rust_files() -> impl Iterator<Item = String> {
    files().into_iter().filter(|path| path.ends_with(".rs"))
}

/// Everything a person wrote as text.
fn text_files() -> impl Iterator<Item = String> {
    files().into_iter().filter(|path| std::fs::read_to_string(testkit::root().join(path)).is_ok())
}

fn says_why_it_is_long(source: &str, function: &Function) -> bool {
    let lines: Vec<&str> = source.lines().collect();
    let above = &lines[function.line.saturating_sub(ATTRIBUTE_LINES_MAX)..function.line];
    // Attributes belong to the last item above: none of its kind may stand between.
    let own = above.iter().rposition(|line| line.trim() == "}").map_or(0, |end| end + 1);
    let own = above[own..].join(" ");
    own.contains("allow(clippy::too_many_lines") && own.contains("reason")
}

/// The files and, ending in '*', folders that may have unsafe code: the list items of docs/STYLE.md's
/// section "Unsafe" that start with a path.
fn unsafe_list() -> Vec<String> {
    let style = read("docs/STYLE.md");
    let section = style.split("\n## ").find(|section| section.starts_with("Unsafe"));
    let items = section.expect("docs/STYLE.md has a section Unsafe").lines();
    let items = items.filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
    let list: Vec<String> = items.map(|(path, _)| path.to_owned()).collect();
    assert!(!list.is_empty(), "the section Unsafe of docs/STYLE.md lists modules");
    list
}

/// The text of the module, or crate, that a file's folder is: it may speak for all files in it.
fn folder_text(path: &str) -> String {
    let (folder, _) = path.rsplit_once('/').expect("sources lie in folders");
    let root = |name| std::fs::read_to_string(testkit::root().join(folder).join(name)).unwrap_or_default();
    root("mod.rs") + &root("lib.rs")
}

fn matches(listed: &str, path: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(folder) => path.starts_with(folder),
        None => path == listed,
    }
}

#[test]
fn the_lexer_tells_code_from_text() {
    let source = r##"
fn one<'a>(text: &'a str) -> [u8; 2] {
    // unsafe { in a comment
    let quote = '"'; /* unsafe /* nested */ } */
    let (_, _) = ("unsafe {", r#"unsafe " {"#);
    if quote == '\'' { [b'{'; 2] } else {

        [b'}'; 2]
    }
}
trait Declares { fn nothing(&self) -> [u8; 3]; }
"##;
    let code = code_of(source);
    assert_eq!(code.lines().count(), source.lines().count());
    assert!(!has_word(&code, concat!("un", "safe")), "{code}");
    let found = functions(&code);
    assert_eq!(found, [Function { name: "one".into(), line: 2, body_lines: 5 }]);
    assert!(has_word("an XY here", "XY") && !has_word("XYX", "XY") && !has_word("x_XY", "XY"));
}
