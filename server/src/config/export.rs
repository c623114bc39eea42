//! One export: from what is written to what is served.

use std::collections::HashMap;
use std::hash::Hasher;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nfs_ops::{ExportId, Protocol, Protocols, Squash};
use siphasher::sip::SipHasher24;
use toml::Spanned;
use vfs_local::Io;

use super::client::ClientPattern;
use super::diagnostic::Source;
use super::file::{AccessWord, ExportSection, IoWord, SquashWord};

/// Most exports: the tables are searched in turn, and each export has its own caches on every shard.
pub const EXPORTS_MAX: usize = 256;

/// User and group of those who are nobody, as on Debian.
pub const NOBODY: u32 = 65534;

/// Longest pseudo path: `MNTPATHLEN` of the MOUNT protocol (RFC 1813 §5.1.2).
const PSEUDO_BYTES_MAX: usize = wire::mount3::PATH_MAX;

/// Longest component of a pseudo path, as file systems have it.
const COMPONENT_BYTES_MAX: usize = 255;

/// What is to be exported, before host names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPlan {
    /// The directory, absolute.
    pub path: PathBuf,
    /// Names the export in file handles.
    pub id: ExportId,
    /// Components of its place in the name space; none is the root.
    pub pseudo: Vec<String>,
    /// Nobody may change anything.
    pub read_only: bool,
    /// Who may use it.
    pub clients: Vec<ClientPattern>,
    /// Who may only read it.
    pub read_only_clients: Vec<ClientPattern>,
    /// Whose identity is taken away.
    pub squash: Squash,
    /// The anonymous user.
    pub anonymous_uid: u32,
    /// The anonymous group.
    pub anonymous_gid: u32,
    /// Callers must use a port below 1024.
    pub privileged_port: bool,
    /// File systems mounted below are entered.
    pub cross_mounts: bool,
    /// Supplementary groups are looked up here.
    pub lookup_groups: bool,
    /// READ_PLUS is answered.
    pub read_plus: bool,
    /// How the bytes of files are read and written.
    pub io: Io,
    /// By which versions of NFS it can be used.
    pub protocols: Protocols,
}

impl ExportPlan {
    /// `path` at the root of the name space for everybody, all else at its default.
    pub fn simple(path: PathBuf) -> Self {
        Self {
            path,
            id: id_of(&[]),
            pseudo: Vec::new(),
            read_only: false,
            clients: vec![ClientPattern::Everybody],
            read_only_clients: Vec::new(),
            squash: Squash::Root,
            anonymous_uid: NOBODY,
            anonymous_gid: NOBODY,
            privileged_port: false,
            cross_mounts: false,
            lookup_groups: false,
            read_plus: false,
            io: Io::Auto,
            protocols: Protocols::ALL,
        }
    }

    /// Its place in the name space as clients write it.
    pub fn pseudo_path(&self) -> String {
        show(&self.pseudo)
    }

    /// The protocols as they are written.
    pub fn protocol_names(&self) -> Vec<&'static str> {
        self.protocols.iter().map(Protocol::name).collect()
    }
}

/// The id of an export at this place: a hash of the path, so that it stays over restarts.
pub fn id_of(pseudo: &[String]) -> ExportId {
    let mut hasher = SipHasher24::new();
    hasher.write(show(pseudo).as_bytes());
    // The lower half is as good as the upper; 0 is left for handles that name no export.
    ExportId((hasher.finish() as u32).max(1))
}

/// The plans of all exports. What is wrong is noted in `source`.
pub fn resolve_all(sections: &[Spanned<ExportSection>], source: &mut Source<'_>) -> Vec<ExportPlan> {
    if sections.is_empty() {
        source.wrong(
            0..0,
            "no [[export]] is given, so there is nothing to serve",
            "add one: [[export]] with path = \"/the/directory\"",
        );
    }
    if let Some(beyond) = sections.get(EXPORTS_MAX) {
        source.wrong(
            beyond.span(),
            format!("there are {} exports", sections.len()),
            format!("give at most {EXPORTS_MAX}; export a common parent instead"),
        );
    }
    let alone = sections.len() == 1;
    let plans: Vec<_> = sections.iter().map(|section| resolve(section.get_ref(), alone, source)).collect();
    reject_clashes(sections, &plans, source);
    plans
}

fn resolve(section: &ExportSection, alone: bool, source: &mut Source<'_>) -> ExportPlan {
    check_directory(&section.path, source);
    let pseudo = pseudo_of(section, alone, source);
    let id = match &section.id {
        None => id_of(&pseudo),
        Some(id) => match u32::try_from(*id.get_ref()) {
            Ok(number) if number > 0 => ExportId(number),
            _ => {
                source.wrong(
                    id.span(),
                    "`id` is out of range",
                    "give a number from 1 to 4294967295, or leave it out",
                );
                ExportId(0)
            }
        },
    };
    let everybody = || vec![ClientPattern::Everybody];
    ExportPlan {
        path: section.path.get_ref().clone(),
        id,
        pseudo,
        read_only: section.access == AccessWord::Ro,
        clients: match &section.clients {
            Some(list) => patterns(list, source),
            // With only readers named, nobody else is let in.
            None if section.read_only_clients.is_empty() => everybody(),
            None => Vec::new(),
        },
        read_only_clients: patterns(&section.read_only_clients, source),
        squash: match section.squash {
            SquashWord::Root => Squash::Root,
            SquashWord::All => Squash::All,
            SquashWord::None => Squash::Nobody,
        },
        anonymous_uid: user_number("anonuid", section.anonuid.as_ref(), source),
        anonymous_gid: user_number("anongid", section.anongid.as_ref(), source),
        privileged_port: section.secure,
        cross_mounts: section.cross_mounts,
        lookup_groups: section.lookup_groups,
        read_plus: section.read_plus,
        io: match section.io {
            IoWord::Auto => Io::Auto,
            IoWord::Buffered => Io::Buffered,
            IoWord::Direct => Io::Direct,
        },
        protocols: section.protocols.as_ref().map_or(Protocols::ALL, |list| protocols(list, source)),
    }
}

fn check_directory(path: &Spanned<PathBuf>, source: &mut Source<'_>) {
    if let Err((reason, remedy)) = directory_problem(path.get_ref()) {
        source.wrong(path.span(), format!("`path`: {reason}"), remedy);
    }
}

/// Whether `path` can be exported as far as can be seen from outside; else reason and remedy.
pub fn directory_problem(path: &Path) -> Result<(), (String, String)> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err((format!("{shown} is not absolute"), "write the path from / on".into()));
    }
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err((format!("{shown} is not a directory"), "export the directory it is in".into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err((
            format!("{shown} does not exist"),
            format!("make it (mkdir -p {shown}), mount it, or correct the path"),
        )),
        Err(error) => Err((format!("{shown}: {error}"), "make it accessible to the server".into())),
    }
}

fn pseudo_of(section: &ExportSection, alone: bool, source: &mut Source<'_>) -> Vec<String> {
    let Some(written) = &section.pseudo else {
        if alone {
            return Vec::new();
        }
        return match section.path.get_ref().file_name().map(|name| name.to_str().map(str::to_owned)) {
            Some(Some(name)) => vec![name],
            _ => {
                source.wrong(
                    section.path.span(),
                    "`path` ends in no name that can be a place in the name space",
                    "give `pseudo`, for example pseudo = \"/data\"",
                );
                Vec::new()
            }
        };
    };
    let text = written.get_ref();
    let components: Vec<String> =
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let bad = |part: &String| part == "." || part == ".." || part.contains('\0');
    if text.len() > PSEUDO_BYTES_MAX {
        source.wrong(
            written.span(),
            format!(
                "`pseudo` has {} bytes, and MOUNT tells clients of {PSEUDO_BYTES_MAX} at most",
                text.len()
            ),
            "write a shorter path",
        );
    }
    if let Some(long) = components.iter().find(|part| part.len() > COMPONENT_BYTES_MAX) {
        source.wrong(
            written.span(),
            format!(
                "`pseudo` has a name of {} bytes, and a name has {COMPONENT_BYTES_MAX} at most",
                long.len()
            ),
            format!("write a shorter one for {:?}...", long.chars().take(20).collect::<String>()),
        );
    }
    if !text.starts_with('/') || components.iter().any(bad) {
        source.wrong(
            written.span(),
            format!("`pseudo` is {text:?}, which is not a place in the name space"),
            "write an absolute path without . and .., for example \"/projects/a\"",
        );
    }
    components
}

fn patterns(list: &[Spanned<String>], source: &mut Source<'_>) -> Vec<ClientPattern> {
    let mut patterns = Vec::with_capacity(list.len());
    for entry in list {
        match ClientPattern::parse(entry.get_ref()) {
            Ok(pattern) => patterns.push(pattern),
            Err((reason, remedy)) => source.wrong(entry.span(), reason, remedy),
        }
    }
    patterns
}

fn protocols(list: &Spanned<Vec<Spanned<String>>>, source: &mut Source<'_>) -> Protocols {
    const REMEDY: &str = "give one or more of \"3\", \"4.1\", \"4.2\", or leave it out for all";
    if list.get_ref().is_empty() {
        source.wrong(list.span(), "`protocols` is empty, so that nobody could use the export", REMEDY);
    }
    let mut protocols = Protocols::NONE;
    for entry in list.get_ref() {
        let text = entry.get_ref();
        match Protocol::ALL.into_iter().find(|protocol| protocol.name() == text) {
            Some(protocol) if protocols.contains(protocol) => {
                source.wrong(entry.span(), format!("`protocols` has {text:?} twice"), "keep one of them");
            }
            Some(protocol) => protocols = protocols.with(protocol),
            None => source.wrong(
                entry.span(),
                format!("`protocols` has {text:?}, which is no version of NFS that is served"),
                REMEDY,
            ),
        }
    }
    protocols
}

fn user_number(name: &str, written: Option<&Spanned<i64>>, source: &mut Source<'_>) -> u32 {
    let Some(written) = written else { return NOBODY };
    // The greatest number means "no user" in the kernel's interfaces.
    match u32::try_from(*written.get_ref()) {
        Ok(number) if number < u32::MAX => number,
        _ => {
            source.wrong(
                written.span(),
                format!("`{name}` is {}, which is no user or group id", written.get_ref()),
                format!("give a number from 0 to 4294967294, or leave it out for {NOBODY}"),
            );
            NOBODY
        }
    }
}

/// Notes exports that are in each other's way: same directory, same or nested place, same id.
fn reject_clashes(sections: &[Spanned<ExportSection>], plans: &[ExportPlan], source: &mut Source<'_>) {
    let mut paths: HashMap<PathBuf, usize> = HashMap::new();
    for (number, plan) in plans.iter().enumerate() {
        let section = sections[number].get_ref();
        let real = plan.path.canonicalize().unwrap_or_else(|_| plan.path.clone());
        if paths.insert(real, number).is_some() {
            source.wrong(
                section.path.span(),
                format!("{} is exported twice", plan.path.display()),
                "give one [[export]] with all its `clients` and `read_only_clients`",
            );
        }
        for other in &plans[..number] {
            reject_clash(section, plan, other, source);
            reject_nesting(section, plan, other, source);
        }
    }
}

fn reject_clash(section: &ExportSection, plan: &ExportPlan, other: &ExportPlan, source: &mut Source<'_>) {
    let span = place_span(section);
    let (place, other_place) = (plan.pseudo_path(), other.pseudo_path());
    if plan.pseudo == other.pseudo {
        source.wrong(
            span,
            format!("two exports have the place {place} in the name space"),
            "give one of them another `pseudo`",
        );
    } else if plan.pseudo.starts_with(&other.pseudo) || other.pseudo.starts_with(&plan.pseudo) {
        source.wrong(
            span,
            format!("the places {other_place} and {place} lie within one another"),
            "give `pseudo` paths of which none is below another",
        );
    } else if plan.id == other.id {
        source.wrong(
            section.id.as_ref().map_or(span, Spanned::span),
            format!("the exports {other_place} and {place} have the same `id` {}", plan.id.0),
            "set another `id` for one of them, and keep it: clients' file handles depend on it",
        );
    }
}

/// Opens and locks are known by export: through two of them, the same file would have two sets of locks.
fn reject_nesting(section: &ExportSection, plan: &ExportPlan, other: &ExportPlan, source: &mut Source<'_>) {
    let is_below = |outer: &ExportPlan, inner: &ExportPlan| {
        inner.path.canonicalize().is_ok_and(|path| leads_below(outer, &path))
    };
    if is_below(plan, other) || is_below(other, plan) {
        source.wrong(
            section.path.span(),
            format!(
                "{} and {} are within one another, on one file system",
                other.path.display(),
                plan.path.display()
            ),
            "export the outer one alone, or directories beside one another: clients of one would not see the locks of the other",
        );
    }
}

/// Whether an export's clients come to this place (a path without links), which is not the export's own.
pub fn leads_below(export: &ExportPlan, place: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let is_below = export.path.canonicalize().is_ok_and(|path| place.starts_with(&path) && place != path);
    is_below && (export.cross_mounts || device(place) == device(&export.path))
}

/// Where the export's place is written.
fn place_span(section: &ExportSection) -> Range<usize> {
    section.pseudo.as_ref().map_or_else(|| section.path.span(), Spanned::span)
}

fn show(pseudo: &[String]) -> String {
    format!("/{}", pseudo.join("/"))
}
