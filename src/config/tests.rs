use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::key::Kind;
use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Sources without a file; the working directory holds none.
fn sources(pairs: &[(&str, &str)]) -> Sources {
    Sources { environment: environment(pairs), working_dir: "/no/such/folder".into(), ..Sources::default() }
}

fn with_file(text: &str, pairs: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("syncline.toml"), text).unwrap();
    let sources = Sources { environment: environment(pairs), working_dir: folder.path().into(), ..Sources::default() };
    (folder, sources)
}

fn origin(loaded: &Loaded, key: &str) -> String {
    loaded.settings.iter().find(|setting| setting.key == key).unwrap().origin.clone()
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let pairs: Vec<(String, String)> =
        keys().filter(|key| !key.default.is_empty()).map(|key| (key.variable(), key.default.to_owned())).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut written = load(&sources(&pairs)).unwrap().config;
    assert!(!written.http.may_move && !written.serve.may_move, "an address that was configured is meant");
    (written.http.may_move, written.serve.may_move) = (true, true);
    assert_eq!(format!("{written:?}"), format!("{:?}", Config::default()));
}

#[test]
fn flags_beat_variables_beat_the_file_beats_defaults() {
    let text = "[sync]\npage_size = 10\noverlap_seconds = 11\n[queue]\nmax_attempts = 7\n";
    let (_folder, mut sources) = with_file(text, &[("SYNCLINE__SYNC__PAGE_SIZE", "20")]);
    sources.flags.push(("--log-level", "log.level", "debug".into()));
    sources.environment.insert("SYNCLINE__LOG__LEVEL".into(), "warn".into());
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.sync.page_size, 20);
    assert_eq!(loaded.config.sync.overlap_seconds, 11);
    assert_eq!(loaded.config.queue.max_attempts, 7);
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.config.sync.pages_in_flight, 4);
    assert_eq!(origin(&loaded, "sync.page_size"), "SYNCLINE__SYNC__PAGE_SIZE");
    assert!(origin(&loaded, "sync.overlap_seconds").ends_with("syncline.toml"));
    assert_eq!(origin(&loaded, "log.level"), "--log-level");
    assert_eq!(origin(&loaded, "sync.pages_in_flight"), "default");
}

#[test]
fn the_own_variable_beats_database_url() {
    let general = ("DATABASE_URL", "postgres://general/db");
    let own = ("SYNCLINE__DATABASE__URL", "postgres://own/db");
    let url = |pairs: &[(&str, &str)]| load(&sources(pairs)).unwrap().config.database.url.unwrap();
    assert_eq!(url(&[general]).expose_secret(), "postgres://general/db");
    assert_eq!(url(&[general, own]).expose_secret(), "postgres://own/db");
}

#[test]
fn a_former_name_is_understood_and_told() {
    let former = ("SYNCLINE__QUEUE__JIRA_CONCURRENCY", "3");
    let loaded = load(&sources(&[former])).unwrap();
    assert_eq!(loaded.config.queue.workers, 3);
    let shown = loaded.settings.iter().find(|setting| setting.key == "queue.workers").unwrap();
    assert_eq!(shown.origin, "SYNCLINE__QUEUE__JIRA_CONCURRENCY (former name of queue.workers)");
    let both = load(&sources(&[former, ("SYNCLINE__QUEUE__WORKERS", "4")])).unwrap();
    assert_eq!(both.config.queue.workers, 4, "the name that counts wins");
}

#[test]
fn a_setting_and_its_configuration_have_one_range() {
    for setting in crate::domain::setting::KEYS {
        let Some(path) = setting.configured else { continue };
        let key = keys().find(|key| key.path == path).unwrap();
        let Kind::Integer(min, max) = key.kind else { panic!("{path} is no number") };
        let whole = |value: f64| format!("{value}");
        assert_eq!((min.to_string(), max.to_string()), (whole(setting.min), whole(setting.max)), "{path}");
        assert_eq!(key.default, whole(setting.default), "{path}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let (_folder, sources_of_file) = with_file("[sync]\npage_sise = 10\n", &[]);
    let problem = load(&sources_of_file).unwrap_err();
    assert!(problem.to_string().contains("sync.page_sise"), "{problem}");
    assert_eq!(problem.help(), "did you mean sync.page_size?");

    let problem = load(&sources(&[("SYNCLINE__QUEUE__WORKRES", "3")])).unwrap_err();
    assert_eq!(problem.help(), "did you mean SYNCLINE__QUEUE__WORKERS?");

    let (_folder, sources_of_file) = with_file("[zzz]\nq = 1\n", &[]);
    assert!(load(&sources_of_file).unwrap_err().help().contains("config show"));
    let (_folder, sources_of_file) = with_file("page_size = 1\n", &[]);
    assert!(matches!(load(&sources_of_file), Err(Error::UnknownKey { .. })));
}

#[test]
fn variables_of_kubernetes_services_are_not_keys() {
    assert!(load(&sources(&[("SYNCLINE_SERVICE_HOST", "10.0.0.1"), ("SYNCLINE_PORT", "tcp://10.0.0.1:80")])).is_ok());
}

#[test]
fn a_wrong_value_names_its_key_its_origin_and_the_remedy() {
    for (variable, value, key) in [
        ("SYNCLINE__SYNC__PAGE_SIZE", "many", "sync.page_size"),
        ("SYNCLINE__SYNC__PAGE_SIZE", "0", "sync.page_size"),
        ("SYNCLINE__SYNC__PAGE_SIZE", "99999999999999999999", "sync.page_size"),
        ("SYNCLINE__SYNC__DEFAULT_CRON", "*/15 25 * * *", "sync.default_cron"),
        ("SYNCLINE__SYNC__TIME_ZONE", "Europe/Berln", "sync.time_zone"),
        ("SYNCLINE__HTTP__ADDRESS", "localhost", "http.address"),
        ("SYNCLINE__LOG__FORMAT", "jsn", "log.format"),
        ("SYNCLINE__LOG__LEVEL", "verbose", "log.level"),
        ("SYNCLINE__DATABASE__URL", "mysql://u:hunter2@h/db", "database.url"),
        ("SYNCLINE__DATABASE__URL", "host=h password=hunter2", "database.url"),
        ("SYNCLINE__SECRETS__KEY", "hunter2hunter2", "secrets.key"),
        ("SYNCLINE__QUEUE__PULSE_SECONDS", "2", "queue.pulse_seconds"),
    ] {
        let problem = load(&sources(&[(variable, value)])).unwrap_err();
        let text = format!("{problem}\n{}\n{problem:?}", problem.help());
        assert!(text.contains(key) && text.contains(variable), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(matches!(problem, Error::Invalid { .. }), "{text}");
    }
    let (_folder, sources_of_file) = with_file("[sync]\npage_size = \"100\"\n", &[]);
    let problem = load(&sources_of_file).unwrap_err();
    assert!(problem.to_string().contains("instead of a whole number"), "{problem}");
    let (_folder, sources_of_file) = with_file("[log]\nlevel = 3\n", &[]);
    let problem = load(&sources_of_file).unwrap_err();
    assert!(problem.to_string().contains("a number instead of text"), "{problem}");
}

#[test]
fn a_broken_or_missing_file_is_named() {
    let (_folder, sources_of_file) = with_file("[sync\n", &[]);
    let problem = load(&sources_of_file).unwrap_err();
    assert!(matches!(&problem, Error::Syntax { line: 1, .. }), "{problem}");
    let missing = Sources { file: Some("/no/such/syncline.toml".into()), ..sources(&[]) };
    assert!(matches!(load(&missing), Err(Error::Unreadable { .. })));
    let missing = sources(&[("SYNCLINE_CONFIG", "/no/such/syncline.toml")]);
    assert!(load(&missing).unwrap_err().to_string().contains("SYNCLINE_CONFIG"));
}

#[test]
fn a_secret_is_read_from_its_file_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "postgres://u:hunter2@h/db\n").unwrap();
    let path = path.display().to_string();
    let loaded = load(&sources(&[("DATABASE_URL_FILE", &path)])).unwrap();
    assert_eq!(loaded.config.database.url.as_ref().unwrap().expose_secret(), "postgres://u:hunter2@h/db");
    assert_eq!(origin(&loaded, "database.url"), "DATABASE_URL_FILE");
    assert!(!format!("{loaded:?}").contains("hunter2"));

    let both = [("DATABASE_URL_FILE", path.as_str()), ("DATABASE_URL", "postgres://h/db")];
    assert!(matches!(load(&sources(&both)), Err(Error::TwoSources { .. })));
    let problem = load(&sources(&[("SYNCLINE__SECRETS__KEY_FILE", "/no/such/key")])).unwrap_err();
    assert!(problem.to_string().contains("/no/such/key"), "{problem}");
    let problem = load(&sources(&[("SYNCLINE__SYNC__PAGE_SIZE_FILE", "/no/such/key")])).unwrap_err();
    assert!(matches!(problem, Error::UnknownKey { .. }), "only secrets are read from files: {problem}");
}

#[test]
fn none_turns_the_admin_address_off_and_digits_may_be_text() {
    let config = load(&sources(&[("SYNCLINE__HTTP__ADDRESS", "none")])).unwrap().config;
    assert_eq!(config.http.address, None);
    let config = load(&sources(&[("SYNCLINE__DATABASE__DATA_DIR", "2024")])).unwrap().config;
    assert_eq!(config.database.data_dir, Some(std::path::PathBuf::from("2024")));
}
