//! A file of members: CSV as spreadsheets write it, checked line by line.
//!
//! UTF-8 with or without a byte order mark, `,` or `;` between the cells, quotes where a cell holds either. The header
//! names the columns in any order.

use std::collections::HashMap;

use uuid::Uuid;

use super::super::site::is_email;
use crate::store::people::{ImportColumns, ImportedMember, Refusal};

/// The columns that a file may have.
const COLUMNS: [&str; 5] = ["email", "name", "team", "external_id", "active"];
const LONGEST_CELL: usize = 255;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The lines that are good by themselves.
    pub members: Vec<ImportedMember>,
    /// The others.
    pub refused: Vec<Refusal>,
    /// The optional columns that it has.
    pub columns: ImportColumns,
}

/// Where each column is.
type Places = HashMap<&'static str, usize>;

/// Reads a file. The error is about the file as a whole: what is wrong, with what to write instead.
pub(super) fn read(bytes: &[u8], mut new_id: impl FnMut() -> Uuid) -> Result<File, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|problem| {
        let line = 1 + bytes[..problem.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not UTF-8: save the file as CSV UTF-8")
    })?;
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.matches(';').count() > header.matches(',').count() { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|problem| format!("the header cannot be read: {problem}"))?.clone();
    let places = places(&header)?;
    let has = |column| places.contains_key(column);
    let mut file = File {
        columns: ImportColumns { email: has("email"), team: has("team"), active: has("active") },
        ..File::default()
    };
    let mut seen: HashMap<(&'static str, String), u64> = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|problem| format!("the file cannot be read: {problem}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let judged = if record.len() == header.len() {
            member(&record, &places, line, &mut new_id)
        } else {
            let (cells, columns) = (record.len(), header.len());
            Err(format!("has {cells} cells and the header {columns}: put quotes around a cell that holds a separator"))
        };
        match judged.and_then(|member| once(&member, &mut seen).map(|()| member)) {
            Ok(member) => file.members.push(member),
            Err(problem) => file.refused.push(Refusal { line, problem }),
        }
    }
    Ok(file)
}

fn places(header: &csv::StringRecord) -> Result<Places, String> {
    let example = format!("write a header such as {}", COLUMNS.join(","));
    let mut places = Places::new();
    for (place, name) in header.iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        let Some(column) = COLUMNS.into_iter().find(|column| *column == lower) else {
            let shown: String = name.chars().take(40).collect();
            return Err(format!("the header has an unknown column {shown:?}: {example}"));
        };
        if places.insert(column, place).is_some() {
            return Err(format!("the header has the column {column} twice: {example}"));
        }
    }
    if !places.contains_key("name") || !(places.contains_key("email") || places.contains_key("external_id")) {
        return Err(format!("the header lacks name, or both email and external_id: {example}"));
    }
    Ok(places)
}

fn member(
    record: &csv::StringRecord,
    places: &Places,
    line: u64,
    new_id: &mut impl FnMut() -> Uuid,
) -> Result<ImportedMember, String> {
    let cell = |column: &str| -> Result<Option<String>, String> {
        let text = places.get(column).and_then(|place| record.get(*place)).unwrap_or_default();
        if text.chars().count() > LONGEST_CELL || text.contains(char::is_control) {
            let characters = text.chars().count();
            return Err(format!(
                "{column} holds {characters} characters, or line breaks: write up to {LONGEST_CELL} without them"
            ));
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    };
    let email = cell("email")?;
    if let Some(wrong) = email.as_deref().filter(|email| !is_email(email)) {
        return Err(format!("email is {wrong:?}, which is not an e-mail address"));
    }
    let external_id = cell("external_id")?;
    if email.is_none() && external_id.is_none() {
        return Err("has neither email nor external_id: one of them is needed to identify the member".into());
    }
    let name = cell("name")?.ok_or("has no name: write the full name, as Jira shows it")?;
    let active = match cell("active")?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("true" | "yes" | "1" | "active") => true,
        Some("false" | "no" | "0" | "inactive") => false,
        Some(other) => return Err(format!("active is {other:?}: write true or false")),
    };
    Ok(ImportedMember { line, id: new_id(), email, name, team: cell("team")?, external_id, active })
}

/// Refuses an address or an external id that an earlier line has.
fn once(member: &ImportedMember, seen: &mut HashMap<(&'static str, String), u64>) -> Result<(), String> {
    let email = member.email.as_ref().map(|email| ("email", email.to_lowercase()));
    let external = member.external_id.as_ref().map(|id| ("external_id", id.clone()));
    for key in [email, external].into_iter().flatten() {
        let column = key.0;
        if let Some(first) = seen.get(&key) {
            return Err(format!("has the {column} of line {first}: give each member one line"));
        }
        seen.insert(key, member.line);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> File {
        read(text.as_bytes(), Uuid::nil).unwrap()
    }

    #[test]
    fn files_of_spreadsheets_are_read() {
        let plain = parsed("email,name,team,external_id,active\nana@example.com,Ana Ruiz,Blue,e1,yes\n");
        let german = parsed("\u{feff}Name;E-mail\n".replace("E-mail", "email").as_str());
        assert!(
            german.columns == ImportColumns { email: true, team: false, active: false } && german.members.is_empty()
        );
        let ana = &plain.members[0];
        assert_eq!((ana.name.as_str(), ana.team.as_deref(), ana.line, ana.active), ("Ana Ruiz", Some("Blue"), 2, true));
        let quoted = parsed("name;email\r\n\"Ruiz; Ana\";ana@example.com\r\n");
        assert_eq!(quoted.members[0].name, "Ruiz; Ana");
    }

    #[test]
    fn each_bad_line_is_named_with_its_number_and_what_is_wrong() {
        let file = parsed(
            "email,name,active\nana@example.com,Ana,true\nnobody,Ben,true\n,Cem,true\nDi@example.com,,true\n\
             ANA@example.com,Ana,true\nev@example.com,Eve,maybe\nflo@example.com,Flo\ngus@example.com,Gus,0\n",
        );
        let lines: Vec<u64> = file.refused.iter().map(|refusal| refusal.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8]);
        for (place, word) in
            ["\"nobody\"", "neither email", "no name", "of line 2", "\"maybe\"", "2 cells"].iter().enumerate()
        {
            assert!(file.refused[place].problem.contains(word), "{:?} lacks {word}", file.refused[place]);
        }
        assert_eq!(file.members.iter().map(|member| member.line).collect::<Vec<_>>(), [2, 9]);
    }

    #[test]
    fn a_file_that_is_none_is_refused_as_a_whole() {
        for (text, word) in [
            (&b""[..], "lacks name"),
            (b"name,mail\n", "\"mail\""),
            (b"name,team\n", "both email and external_id"),
            (b"name,email,name\n", "twice"),
            (b"name,email\nJos\xe9,a@example.com\n", "line 2 is not UTF-8"),
        ] {
            let problem = read(text, Uuid::nil).unwrap_err();
            assert!(problem.contains(word), "{problem} lacks {word}");
        }
    }
}
