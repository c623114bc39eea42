//! Just enough of a Rust lexer to tell code from comments and strings.

/// The source with the insides of comments, strings and character literals blanked out. Lines stay lines.
pub fn code_of(source: &str) -> String {
    let mut code = Vec::with_capacity(source.len());
    let mut rest = source.as_bytes();
    while let Some(&first) = rest.first() {
        let (length, keep) = token(rest, code.last().copied());
        let (now, later) = rest.split_at(length);
        if keep {
            code.push(first);
        } else {
            code.extend(now.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        }
        rest = later;
    }
    String::from_utf8(code).expect("only ASCII was put in the place of text")
}

/// Bytes of the next token, and whether it is code (then it is one byte).
fn token(rest: &[u8], previous: Option<u8>) -> (usize, bool) {
    if rest.starts_with(b"//") {
        return (rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with(b"/*") {
        return (block_comment(rest), false);
    }
    let in_word = previous.is_some_and(is_word);
    if !in_word && let Some(length) = raw_string(rest) {
        return (length, false);
    }
    match rest[0] {
        b'"' => (quoted(rest, b'"').unwrap_or(rest.len()), false),
        b'\'' => match character(rest) {
            Some(length) => (length, false),
            None => (1, true),
        },
        _ => (1, true),
    }
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Comments nest in Rust.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut position) = (0, 0);
    while position < rest.len() {
        if rest[position..].starts_with(b"/*") {
            (depth, position) = (depth + 1, position + 2);
        } else if rest[position..].starts_with(b"*/") {
            (depth, position) = (depth - 1, position + 2);
            if depth == 0 {
                return position;
            }
        } else {
            position += 1;
        }
    }
    rest.len()
}

/// `r"..."`, `r#"..."#`, `br"..."` and so on.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let start = if rest.starts_with(b"br") { 2 } else { 1 };
    if rest[start - 1] != b'r' {
        return None;
    }
    let hashes = rest[start..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let inside = start + hashes + 1;
    let found = rest[inside..].windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |found| inside + found + end.len()))
}

/// Up to and with the closing quote.
fn quoted(rest: &[u8], quote: u8) -> Option<usize> {
    let mut position = 1;
    while position < rest.len() {
        match rest[position] {
            b'\\' => position += 2,
            byte if byte == quote => return Some(position + 1),
            _ => position += 1,
        }
    }
    None
}

/// A character literal; a lifetime has no closing quote behind its first character.
fn character(rest: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(&rest[1..rest.len().min(12)]);
    let text = text.or_else(|error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()])).ok()?;
    let first = text.chars().next()?;
    if first == '\\' {
        return quoted(rest, b'\'');
    }
    text[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// A function and how many lines of code its body has.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// From 1.
    pub line: usize,
    pub body_lines: usize,
}

/// The functions in what [`code_of`] left.
pub fn functions(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    let mut position = 0;
    while let Some(found) = code[position..].find("fn ") {
        let start = position + found;
        position = start + 3;
        let begins_word = start == 0 || !is_word(code.as_bytes()[start - 1]);
        let name: String =
            code[position..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !begins_word || name.is_empty() {
            continue;
        }
        if let Some(body) = body(&code[position..]) {
            let body_lines = body.lines().filter(|line| !line.trim().is_empty()).count();
            functions.push(Function { name, line: code[..start].matches('\n').count() + 1, body_lines });
        }
    }
    functions
}

/// What stands between a function's braces; nothing for a declaration.
fn body(code: &str) -> Option<&str> {
    let mut nesting = 0;
    let mut open = None;
    for (position, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting -= 1,
            b';' if nesting == 0 => return None,
            b'{' if nesting == 0 => {
                open = Some(position);
                break;
            }
            _ => {}
        }
    }
    let open = open?;
    let mut depth = 0;
    for (position, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&code[open + 1..position]);
        }
    }
    None
}

/// Whether `word` stands in `text` with no word character beside it.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].bytes().next_back();
        let after = text[start + word.len()..].bytes().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}
