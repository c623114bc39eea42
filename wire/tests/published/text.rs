//! XDR text, as far as the tables here are compared with it.

use std::collections::HashMap;

/// The constants, enums and structs of an XDR text.
#[derive(Default)]
pub struct Text {
    pub numbers: HashMap<String, u64>,
    pub enums: HashMap<String, Vec<(String, u64)>>,
    pub structs: HashMap<String, Vec<String>>,
    /// Types of the fields of each struct, with brackets where the field has some, but without bounds.
    pub types: HashMap<String, Vec<String>>,
    pub typedefs: HashMap<String, String>,
    /// Arms of each union, by name: each case or `default`, and the type of its arm.
    pub unions: HashMap<String, Vec<(String, String)>>,
    /// Number, arguments and result of each procedure.
    pub procedures: HashMap<String, (u64, String, String)>,
}

impl Text {
    pub fn parse(source: &str) -> Self {
        let tokens = tokens(source);
        let mut text = Text::default();
        let mut rest = &tokens[..];
        while let [first, ..] = rest {
            rest = match first.as_str() {
                "const" => text.constant(&rest[1..]),
                "enum" => text.enumeration(&rest[1..]),
                "struct" => text.structure(&rest[1..]),
                "union" => text.union(&rest[1..]),
                "typedef" => text.typedef(&rest[1..]),
                "program" => text.program(&rest[1..]),
                _ => &rest[1..],
            };
        }
        text
    }

    /// `NAME = value ;`
    fn constant<'t>(&mut self, tokens: &'t [String]) -> &'t [String] {
        let value = self.value(&tokens[2]);
        self.numbers.insert(tokens[0].clone(), value);
        &tokens[3..]
    }

    /// `name { NAME = value , ... }`
    fn enumeration<'t>(&mut self, tokens: &'t [String]) -> &'t [String] {
        if tokens[1] != "{" {
            return tokens;
        }
        let end = closing(tokens);
        let mut values = Vec::new();
        for value in tokens[2..end].split(|token| token == ",").filter(|value| value.len() == 3) {
            let number = self.value(&value[2]);
            self.numbers.insert(value[0].clone(), number);
            values.push((value[0].clone(), number));
        }
        self.enums.insert(tokens[0].clone(), values);
        &tokens[end..]
    }

    /// `name { type field ; ... }`, where a field may be `*field`, `field<..>` or `field[..]`.
    fn structure<'t>(&mut self, tokens: &'t [String]) -> &'t [String] {
        let end = closing(tokens);
        let fields = tokens[2..end].split(|token| token == ";").filter(|field| !field.is_empty());
        let (types, names) = fields.map(declaration).unzip();
        self.types.insert(tokens[0].clone(), types);
        self.structs.insert(tokens[0].clone(), names);
        &tokens[end..]
    }

    /// `type name ;`
    fn typedef<'t>(&mut self, tokens: &'t [String]) -> &'t [String] {
        let end = tokens.iter().position(|token| token == ";").unwrap();
        let (published, name) = declaration(&tokens[..end]);
        self.typedefs.insert(name, published);
        &tokens[end..]
    }

    /// The type behind all typedefs.
    pub fn resolve(&self, published: &str) -> String {
        let (name, suffix) = published.split_at(published.find(['<', '[']).unwrap_or(published.len()));
        match self.typedefs.get(name) {
            Some(definition) => format!("{}{suffix}", self.resolve(definition)),
            None => published.to_owned(),
        }
    }

    /// `name switch ( type discriminant ) { case NAME : ... type field ; ... default : void ; }`
    fn union<'t>(&mut self, tokens: &'t [String]) -> &'t [String] {
        let end = closing(tokens);
        let mut arms = Vec::new();
        for arm in tokens[7..end].split(|token| token == ";").filter(|arm| !arm.is_empty()) {
            let colon = arm.iter().rposition(|token| token == ":").unwrap();
            let (published, _) = declaration(&arm[colon + 1..]);
            let cases = arm[..colon].iter().filter(|token| *token != "case" && *token != ":");
            arms.extend(cases.map(|case| (case.clone(), published.clone())));
        }
        self.unions.insert(tokens[0].clone(), arms);
        &tokens[end..]
    }

    /// `name { version name { result name ( arguments ) = number ; ... } = number ; } = number ;`
    fn program<'t>(&mut self, tokens: &'t [String]) -> &'t [String] {
        let end = closing(tokens);
        for procedure in tokens[5..end].split(|token| token == ";").filter(|words| !words.is_empty()) {
            let [result, name, _, arguments, _, _, number] = procedure else { panic!("{procedure:?}") };
            let procedure = (self.value(number), arguments.clone(), result.clone());
            self.procedures.insert(name.clone(), procedure);
        }
        self.numbers.insert(tokens[3].clone(), self.value(&tokens[end + 2]));
        self.numbers.insert(tokens[0].clone(), self.value(&tokens[end + 6]));
        &tokens[end + 7..]
    }

    fn value(&self, token: &str) -> u64 {
        match token.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
            None => token.parse().unwrap_or_else(|_| self.numbers[token]),
        }
    }
}

/// Type and name of `type name`, `type *name`, `type name<bound>` or `type name[size]`; the brackets go to the type, as
/// `<>` or `<1>` or `[size]`.
fn declaration(tokens: &[String]) -> (String, String) {
    let end = tokens.iter().position(|token| token == "<" || token == "[").unwrap_or(tokens.len());
    let suffix = tokens[end..].concat();
    let suffix = if suffix.starts_with('<') && suffix != "<1>" { "<>".to_owned() } else { suffix };
    let words: Vec<_> = tokens[..end.max(2) - 1].iter().filter(|token| *token != "*").cloned().collect();
    (format!("{}{suffix}", words.join(" ")), tokens[end - 1].clone())
}

fn closing(tokens: &[String]) -> usize {
    tokens.iter().position(|token| token == "}").unwrap()
}

fn tokens(source: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = comment.split_once("*/").unwrap().1;
    }
    plain.push_str(rest);
    let mut tokens = Vec::new();
    for line in plain.lines().filter(|line| !line.starts_with('%')) {
        let spaced = line.chars().fold(String::new(), |mut spaced, letter| {
            if letter.is_alphanumeric() || letter == '_' || letter.is_whitespace() {
                spaced.push(letter);
            } else {
                spaced.extend([' ', letter, ' ']);
            }
            spaced
        });
        tokens.extend(spaced.split_whitespace().map(str::to_owned));
    }
    tokens
}

/// What stands for published types here.
pub struct Names {
    /// Published types, behind all typedefs, and ours. Lists and optional values are taken apart before.
    pub same: &'static [(&'static str, &'static [&'static str])],
    /// The published name of one of our types, by our name.
    pub published: fn(&str) -> Option<&'static str>,
}

impl Text {
    /// Whether `ours`, as it is written here, stands for the type that the text calls `published`, behind all typedefs.
    pub fn is_same_type(&self, names: &Names, published: &str, ours: &str) -> bool {
        let plain: String = ours.replace("<'a>", "").replace("'a, ", "");
        let known = |ours: &str| {
            let same = names.same.iter().find(|(text, _)| *text == published);
            same.is_some_and(|(_, same)| same.contains(&ours)) || (names.published)(ours) == Some(published)
        };
        if known(&plain) || known(plain.split('<').next().unwrap()) {
            return true;
        }
        if let Some(item) = plain.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
            let inner = published.strip_suffix("<1>").map(str::to_owned).or_else(|| self.optional(published));
            return inner.is_some_and(|published| self.is_same_type(names, &published, item));
        }
        let list = plain.strip_prefix("List<").and_then(|rest| rest.rsplit_once(", "));
        list.is_some_and(|(item, _)| {
            published.strip_suffix("<>").is_some_and(|text| self.is_same_type(names, text, item))
        })
    }

    /// What a union has that has something only when it is true.
    fn optional(&self, union: &str) -> Option<String> {
        match &self.unions.get(union)?[..] {
            [(yes, inner), (no, nothing)] if yes == "TRUE" && nothing == "void" => {
                assert!(no == "FALSE" || no == "default", "{union}");
                Some(self.resolve(inner))
            }
            _ => None,
        }
    }
}
