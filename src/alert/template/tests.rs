use super::*;
use crate::domain::alert::Event;

const EVENTS: [Event; 5] = [Event::Opened, Event::Escalated, Event::Reminder, Event::Resolved, Event::Test];

#[test]
fn every_event_has_its_text_and_its_page() {
    for event in EVENTS {
        let rendered = Templates::built_in().render(&sample::metadata(event));
        assert_eq!(rendered.fallback, None);
        let text = format!("Subject: {}\n\n{}", rendered.subject, rendered.text);
        insta::assert_snapshot!(format!("{}_text", event.as_str()), text);
        insta::assert_snapshot!(format!("{}_html", event.as_str()), rendered.html);
    }
}

/// The pictures are looked at by people: `SYNCLINE_PAGES=FOLDER cargo test --lib alert::template` writes the pages.
#[test]
fn a_page_is_whole_and_fetches_nothing() {
    for event in EVENTS {
        let html = Templates::built_in().render(&sample::metadata(event)).html;
        // What is linked to is fetched by nobody but who follows the link.
        let html = html.replace("href=\"https://", "href=\"");
        assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
        for fetched in ["<img", "<link", "<script", "@import", "url(", "http://", "https://"] {
            assert!(!html.contains(fetched), "{fetched}");
        }
        if let Some(folder) = std::env::var_os("SYNCLINE_PAGES") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(Path::new(&folder).join(format!("{}.html", event.as_str())), html).unwrap();
        }
    }
}

#[test]
fn whatever_a_message_holds_is_shown_as_text() {
    let evil = "<script>alert(1)</script>\" onload='x' & {{ 7 * 7 }}".to_owned();
    let mut metadata = sample::metadata(Event::Opened);
    metadata.about.clone_from(&evil);
    metadata.summary.clone_from(&evil);
    metadata.advice.clone_from(&evil);
    metadata.class.clone_from(&evil);
    metadata.category.clone_from(&evil);
    metadata.facts = vec![(evil.clone(), evil.clone())];
    metadata.commands = vec![(evil.clone(), evil.clone())];
    let folder = copies();
    for templates in [Templates::built_in(), Templates::with_folder(folder.path()).0] {
        let rendered = templates.render(&metadata);
        assert!(!rendered.html.contains("<script") && !rendered.html.contains("onload='"), "{}", rendered.html);
        assert!(rendered.text.contains(&evil), "text is not escaped");
        assert!(rendered.text.contains("{{ 7 * 7 }}") && !rendered.subject.contains('\n'));
    }
}

#[test]
fn the_built_in_templates_work_when_copied_into_a_folder() {
    let folder = copies();
    let (copied, problems) = Templates::with_folder(folder.path());
    assert_eq!(problems, []);
    for event in EVENTS {
        let metadata = sample::metadata(event);
        let (ours, theirs) = (Templates::built_in().render(&metadata), copied.render(&metadata));
        assert_eq!((&ours.subject, &ours.text, &theirs.fallback), (&theirs.subject, &theirs.text, &None));
        assert_eq!(plain(&ours.html), plain(&theirs.html));
    }
}

#[test]
fn a_folder_may_replace_one_template_and_leave_the_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("subject.txt"), "{{ event }} at our place:\n {{ about }}\n").unwrap();
    let (templates, problems) = Templates::with_folder(folder.path());
    assert_eq!(problems, []);
    let rendered = templates.render(&sample::metadata(Event::Opened));
    assert_eq!(rendered.subject, "opened at our place: site acme");
    assert_eq!(rendered.text, Templates::built_in().render(&sample::metadata(Event::Opened)).text);
    assert_eq!(rendered.fallback, None);
}

#[test]
fn a_failing_template_is_replaced_by_the_built_in_one() {
    let metadata = sample::metadata(Event::Opened);
    let built_in = Templates::built_in().render(&metadata);
    for (template, when_read) in [
        ("{{ unfinished", true),
        ("{% for x in facts %}", true),
        ("{{ no_such_value }}", false),
        ("{{ summary.no.such }}", false),
        ("{% for a in range(9000) %}{% for b in range(9000) %}x{% endfor %}{% endfor %}", false),
        ("{% include '../secret' %}", false),
        ("  \n ", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alert.txt"), template).unwrap();
        let (templates, problems) = Templates::with_folder(folder.path());
        assert_eq!(problems.len(), usize::from(when_read), "{template}: {problems:?}");
        let rendered = templates.render(&metadata);
        assert_eq!(rendered.text, built_in.text, "{template}");
        assert_eq!(rendered.fallback.is_some(), !when_read, "{template}: {:?}", rendered.fallback);
        if let Some(why) = rendered.fallback {
            assert!(why.contains("alert.txt"), "{why}");
        }
    }
    let (templates, problems) = Templates::with_folder("/no/such/folder");
    assert_eq!(problems.len(), 1);
    assert_eq!(templates.render(&metadata), built_in);
}

fn copies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/alert/template/built_in");
    for name in [folder::SUBJECT, folder::TEXT, folder::HTML] {
        std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// Both escape the same characters, by other names.
fn plain(html: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .into_iter()
        .chain([("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")])
        .fold(html.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
