//! Files of a room that need each other in a circle can only be read together; there are none but those in the list.
//!
//! A file needs another one where a path of its code ends in an item of that file. A `pub use` is a name and no need: who
//! names an item by a re-export needs the file that has the item.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, sources};

/// Circles that are there. The list may only shrink: who opens one removes its files here. A folder stands for all of it:
/// there a parent chooses among its children (commands, channels), and they read what it defines.
#[rustfmt::skip]
const KNOWN: &[&[&str]] = &[
    &["cli/demo/mailbox.rs", "cli/demo/mod.rs", "cli/demo/outage.rs", "cli/demo/stack.rs", "cli/demo/stage.rs"],
    &["cli/error.rs", "cli/output.rs"],
    &["config/file.rs", "config/load.rs"],
    &["config/secret.rs", "config/secrets.rs"],
    &["engine/executor.rs", "engine/outcome.rs", "engine/slots.rs"],
    &["jira/answers.rs", "jira/carried.rs", "jira/catalogue.rs", "jira/client.rs", "jira/frame.rs", "jira/no_answer.rs", "jira/oauth.rs", "jira/transport.rs"],
    &["jira/bounded.rs", "jira/by_id.rs", "jira/search.rs"],
    &["jira/members.rs", "jira/normalise.rs", "jira/normalise/collection.rs", "jira/normalise/dated.rs", "jira/normalise/details.rs", "jira/normalise/report.rs"],
    &["observe/logs.rs", "observe/mod.rs", "observe/trace/export.rs", "observe/trace/sampler.rs"],
    &["postgres/error.rs", "postgres/programs.rs"],
    &["postgres/initialise.rs", "postgres/server.rs"],
    &["simulator/admin.rs", "simulator/routes.rs", "simulator/server.rs"],
    &["simulator/attributes.rs", "simulator/auth.rs", "simulator/catalogue.rs", "simulator/catalogue/project.rs", "simulator/catalogue/sprint.rs", "simulator/catalogue/terms.rs", "simulator/changelog.rs", "simulator/custom.rs", "simulator/generate.rs", "simulator/history.rs", "simulator/issue.rs", "simulator/language.rs", "simulator/limits.rs", "simulator/links.rs", "simulator/oauth.rs", "simulator/options.rs", "simulator/people.rs", "simulator/personal_tokens.rs", "simulator/query.rs", "simulator/render.rs", "simulator/reply.rs", "simulator/site.rs", "simulator/store.rs", "simulator/threads.rs", "simulator/world.rs"],
    &["store/connect.rs", "store/session.rs"],
    &["store/role/mod.rs", "store/role/rights.rs"],
    &["store/upkeep/batch.rs", "store/upkeep/of_others.rs", "store/upkeep/of_runs.rs"],
    &["sync/catalogue.rs", "sync/fetch_catalogue.rs"],
    &["sync/fetch_page.rs", "sync/upsert_batch.rs"],
    &["sync/pace/mod.rs", "sync/pace/site.rs"],
    &["sync/settings.rs", "sync/workshop.rs"],
    &["telemetry/analyse_run.rs", "telemetry/conditions.rs"],
    &["alert/channel/"],
    // The types of a schema lead to each other: an issue has a project, which has issues.
    &["api/graphql/types/"],
    &["cli/"],
];

fn is_in(known: &str, file: &str) -> bool {
    known == file || known.ends_with('/') && file.starts_with(known)
}

#[test]
fn files_of_a_room_form_no_circles() {
    let (mut wrong, found) = (Vec::new(), circles(&sources()));
    for circle in &found {
        let has = |known: &[&str], file: &String| known.iter().any(|name| is_in(name, file));
        let known = KNOWN.iter().find(|known| circle.iter().any(|file| has(known, file)));
        let more: Vec<_> = circle.iter().filter(|file| known.is_none_or(|known| !has(known, file))).collect();
        if !more.is_empty() {
            wrong.push(format!("a new circle, or more of a known one: {circle:?}"));
        }
    }
    for known in KNOWN {
        let is_found = |name: &&&str| found.iter().flatten().any(|file| is_in(name, file));
        let left: Vec<_> = known.iter().filter(|name| !is_found(name)).collect();
        if !left.is_empty() {
            wrong.push(format!("not in a circle any more, remove them from the list: {left:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let files = |texts: &[(&str, &str)]| -> Vec<Source> { texts.iter().map(|(p, t)| Source::of(p, t)).collect() };
    let two = [
        ("room/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;"),
        ("room/a.rs", "use super::B;\npub struct A(B);"),
        ("room/b.rs", "use crate::room::A;\npub struct B(A);"),
    ];
    assert_eq!(circles(&files(&two)), [BTreeSet::from(["room/a.rs".to_owned(), "room/b.rs".to_owned()])]);
    let with_parent = [
        ("room/mod.rs", "mod a;\npub struct Parent;\nfn f() { a::g(); }"),
        ("room/a.rs", "use super::Parent;\npub fn g() {}"),
    ];
    assert_eq!(circles(&files(&with_parent)).len(), 1);
    let straight = [
        ("room/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;"),
        ("room/a.rs", "pub struct A;"),
        ("room/b.rs", "use super::A;\npub struct B(A);\n#[cfg(test)]\nmod tests { use super::super::B; }"),
        ("other/mod.rs", "use crate::room::B;"),
    ];
    assert_eq!(circles(&files(&straight)), Vec::<BTreeSet<String>>::new());
}

/// The files of one module tree, by the path of each module, such as `store::step::claim`.
struct Room<'a> {
    modules: BTreeMap<String, Module<'a>>,
}

struct Module<'a> {
    source: &'a Source,
    /// What `use` brings in, by the name it has here; several files of one name are no concern of ours.
    names: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Paths that the code goes, but for re-exports.
    paths: BTreeSet<Vec<String>>,
}

fn circles(sources: &[Source]) -> Vec<BTreeSet<String>> {
    let rooms: BTreeSet<&str> =
        sources.iter().map(Source::room).filter(|room| !matches!(*room, "lib" | "main")).collect();
    rooms.into_iter().flat_map(|room| Room::of(room, sources).circles()).collect()
}

impl<'a> Room<'a> {
    fn of(room: &str, sources: &'a [Source]) -> Self {
        let modules =
            sources.iter().filter(|s| s.room() == room).map(|s| (module_path(&s.path), Module::of(s))).collect();
        Self { modules }
    }

    /// The file in which `path` ends, looked up from `module`.
    fn target(&self, module: &str, path: &[String], depth: usize) -> Option<&str> {
        if depth > 12 {
            return None;
        }
        let (first, mut rest) = path.split_first()?;
        let mut here = match first.as_str() {
            "crate" => String::new(),
            "self" => module.to_owned(),
            "super" => parent(module),
            _ if self.modules.contains_key(&join(module, first)) => join(module, first),
            _ => {
                // A name that `use` brought in; its need is counted there already, except where it came by a module's name.
                let there = self.modules.get(module)?.names.get(first)?;
                let whole: Vec<String> = there.iter().chain(rest).cloned().collect();
                return (there.first() != Some(first)).then(|| self.target(module, &whole, depth + 1)).flatten();
            }
        };
        while let Some((segment, more)) = rest.split_first() {
            if segment == "super" {
                here = parent(&here);
            } else if self.modules.contains_key(&join(&here, segment)) {
                here = join(&here, segment);
            } else if let Some(module) = self.modules.get(&here) {
                if let Some(there) = module.names.get(segment) {
                    let whole: Vec<String> = there.iter().chain(more).cloned().collect();
                    // What comes from another room is the room's own need, not this file's.
                    return self.target(&here, &whole, depth + 1);
                }
                if !defines(&module.source.code, segment) {
                    for glob in &module.globs {
                        let whole: Vec<String> = glob.iter().chain(rest).cloned().collect();
                        if let Some(found) = self.target(&here, &whole, depth + 1) {
                            return Some(found);
                        }
                    }
                }
                break;
            } else if here.is_empty() || !here.contains("::") && !self.modules.contains_key(&here) {
                // `crate::OTHER_ROOM`, or a room without a file of its own.
                here = join(&here, segment);
                if !self.modules.keys().any(|known| known == &here || known.starts_with(&format!("{here}::"))) {
                    return None;
                }
            } else {
                return None;
            }
            rest = more;
        }
        self.modules.get(&here).map(|module| module.source.path.as_str())
    }

    fn circles(&self) -> Vec<BTreeSet<String>> {
        let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, module) in &self.modules {
            let own = module.source.path.as_str();
            let others = module.paths.iter().filter_map(|path| self.target(name, path, 0)).filter(|file| *file != own);
            needs.insert(own, others.collect());
        }
        let reach: BTreeMap<&str, BTreeSet<&str>> = needs.keys().map(|file| (*file, reachable(&needs, file))).collect();
        let mut found: BTreeSet<BTreeSet<String>> = BTreeSet::new();
        for (file, there) in &reach {
            let both = there.iter().filter(|other| reach[**other].contains(file)).map(|other| (*other).to_owned());
            let circle: BTreeSet<String> = both.collect();
            if circle.len() > 1 {
                found.insert(circle);
            }
        }
        found.into_iter().collect()
    }
}

fn reachable<'a>(needs: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = needs[from].iter().copied().collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(needs[file].iter().copied());
        }
    }
    found
}

fn module_path(file: &str) -> String {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned())
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn defines(code: &str, name: &str) -> bool {
    ["struct", "enum", "fn", "const", "static", "type", "trait", "union", "mod", "macro_rules!"].iter().any(|kind| {
        code.match_indices(&format!("{kind} {name}"))
            .any(|(at, found)| !code[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

impl<'a> Module<'a> {
    fn of(source: &'a Source) -> Self {
        let mut module = Self { source, names: BTreeMap::new(), globs: Vec::new(), paths: BTreeSet::new() };
        let mut code = String::with_capacity(source.code.len());
        let mut rest = source.code.as_str();
        // `use …;` at the beginning of a line; what is left is searched for paths.
        while let Some((before, is_public, declaration, after)) = next_use(rest) {
            code.push_str(before);
            for (name, path) in leaves(&declaration) {
                if !is_public {
                    module.paths.insert(path.clone());
                }
                match name.as_str() {
                    "*" => module.globs.push(path),
                    "_" => {}
                    _ => {
                        module.names.insert(name, path);
                    }
                }
            }
            rest = after;
        }
        code.push_str(rest);
        module.paths.extend(inline_paths(&code));
        module
    }
}

/// The text before the next `use`, whether it is a re-export, what it names, and the text behind its semicolon.
fn next_use(code: &str) -> Option<(&str, bool, String, &str)> {
    let mut from = 0;
    loop {
        let at = from + code[from..].find("use ")?;
        let line = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let before = code[line..at].trim();
        let is_word = code[..at].chars().next_back().is_none_or(char::is_whitespace);
        if is_word && (before.is_empty() || before.starts_with("pub") && !before.contains(['{', '=', ';'])) {
            let end = at + code[at..].find(';')?;
            let declaration = code[at + 4..end].split_whitespace().collect::<Vec<_>>().join(" ");
            return Some((&code[..line], !before.is_empty(), declaration, &code[end + 1..]));
        }
        from = at + 4;
    }
}

/// `a::{b, c as d}` → (b, a::b), (d, a::c).
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let prefix: Vec<String> = segments(&tree[..open]);
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    parts.push(&inner[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(&inner[start..]);
        let parts = parts.into_iter().filter(|part| !part.trim().is_empty()).flat_map(leaves);
        return parts
            .map(|(name, path)| {
                // `a::{self}` is `a`.
                if path == ["self"] {
                    let name = if name == "self" { prefix.last().cloned().unwrap_or_default() } else { name };
                    return (name, prefix.clone());
                }
                (name, prefix.iter().cloned().chain(path).collect())
            })
            .collect();
    }
    let (path, name) = match tree.split_once(" as ") {
        Some((path, name)) => (segments(path), name.trim().to_owned()),
        None => {
            let path = segments(tree);
            let name = path.last().cloned().unwrap_or_default();
            (path, name)
        }
    };
    if name == "*" { vec![(name, path[..path.len() - 1].to_vec())] } else { vec![(name, path)] }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty()).collect()
}

/// Paths of at least two segments in code that is no `use`.
fn inline_paths(code: &str) -> BTreeSet<Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let start = code[..at].rfind(|c: char| !is_word(c)).map_or(0, |before| before + 1);
        // Only where a path begins.
        if start == at || code[..start].ends_with("::") {
            continue;
        }
        let mut path = vec![code[start..at].to_owned()];
        let mut rest = &code[at..];
        while let Some(more) = rest.strip_prefix("::") {
            let end = more.find(|c: char| !is_word(c)).unwrap_or(more.len());
            if end == 0 {
                break;
            }
            path.push(more[..end].to_owned());
            rest = &more[end..];
        }
        found.insert(path);
    }
    found
}
