//! The page `docs/codes.md`: what each code of a failure means for an operator, from the advice that runs and mails give.

use super::FailureCode;

fn document() -> String {
    let mut page = String::from(
        "# Failure codes\n\n\
         A failed run has a code, a message and this advice; `syncline run show`, `syncline log list`, e-mails and \
         dashboards show the\n\
         same. This page is generated from `src/domain/failure/code.rs`: after a change run\n\
         `UPDATE_DOCS=1 cargo test --lib domain::failure::reference`.\n\n\
         | code | category | severity | what to do |\n|---|---|---|---|\n",
    );
    for code in FailureCode::ALL {
        let (category, severity) = (code.category().as_str(), code.severity().as_str());
        page.push_str(&format!("| `{}` | {category} | {severity} | {} |\n", code.as_str(), code.advice()));
    }
    page
}

#[test]
fn the_page_of_codes_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/codes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == document(),
        "docs/codes.md is old: run UPDATE_DOCS=1 cargo test --lib domain::failure::reference"
    );
}
