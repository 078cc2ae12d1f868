//! Errors in other languages, as accounts see them whose profile is not in English.
//!
//! A client must tell errors apart by status, header and code: with another language every text is another one.

use std::str::FromStr;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::Value;

use super::reply::Reply;

/// The language of error texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Language {
    #[default]
    English,
    German,
    Japanese,
    French,
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "en" => Ok(Self::English),
            "de" => Ok(Self::German),
            "ja" => Ok(Self::Japanese),
            "fr" => Ok(Self::French),
            other => Err(format!("'{other}' is not a language of the simulated site: there are en, de, ja and fr")),
        }
    }
}

/// How an English text begins and ends, and the same in German, Japanese and French; `{}` is what stands between.
type Entry = (&'static str, &'static str, [&'static str; 3]);

#[rustfmt::skip] // a table
const TEXTS: [Entry; 8] = [
    ("The value '", " does not exist for the field 'project'.", ["Der Wert '{} existiert nicht für das Feld 'project'.", "値 '{} はフィールド 'project' に存在しません。", "La valeur '{} n'existe pas pour le champ 'project'."]),
    ("Issue does not exist or you do not have permission to see it.", "", ["Der Vorgang existiert nicht oder Sie sind nicht berechtigt, ihn anzuzeigen.", "課題が存在しないか、課題を表示する権限がありません。", "Cette demande n'existe pas ou vous n'êtes pas autorisé à la consulter."]),
    ("Field '", " does not exist or you do not have permission to view it.", ["Das Feld '{} existiert nicht oder Sie sind nicht berechtigt, es anzuzeigen.", "フィールド '{} が存在しないか、表示する権限がありません。", "Le champ '{} n'existe pas ou vous n'êtes pas autorisé à le consulter."]),
    ("Error in the JQL Query: ", "", ["Fehler in der JQL-Abfrage: {}", "JQL クエリのエラー: {}", "Erreur dans la requête JQL : {}"]),
    ("No project could be found with key ", "", ["Es wurde kein Projekt mit dem Schlüssel {} gefunden.", "キー {} のプロジェクトが見つかりません。", "Aucun projet trouvé avec la clé {}"]),
    ("Rate limit exceeded.", "", ["Die Anzahl der Anfragen ist überschritten.", "レート制限を超えました。", "Limite de requêtes dépassée."]),
    ("You do not have permission to ", "", ["Sie haben keine Berechtigung für diese Aktion.", "この操作を行う権限がありません。", "Vous n'êtes pas autorisé à faire cela."]),
    ("", "", ["Es ist ein Fehler aufgetreten.", "エラーが発生しました。", "Une erreur est survenue."]),
];

impl Language {
    /// The text in this language.
    fn translate(self, text: &str) -> String {
        let at = match self {
            Self::English => return text.to_owned(),
            Self::German => 0,
            Self::Japanese => 1,
            Self::French => 2,
        };
        let rest = |(start, end, texts): &Entry| {
            let middle = text.strip_prefix(start)?.strip_suffix(end)?;
            Some(texts[at].replace("{}", middle))
        };
        TEXTS.iter().find_map(rest).unwrap_or_default()
    }

    /// Puts the messages of an error into this language.
    pub(super) async fn apply(self, reply: Reply) -> Reply {
        let json =
            reply.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if self == Self::English || !reply.status().is_client_error() || !json {
            return reply;
        }
        let (mut parts, body) = reply.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
            return Reply::from_parts(parts, Body::from(bytes));
        };
        for message in value.get_mut("errorMessages").and_then(Value::as_array_mut).into_iter().flatten() {
            *message = self.translate(message.as_str().unwrap_or_default()).into();
        }
        parts.headers.remove(CONTENT_LENGTH);
        Reply::from_parts(parts, Body::from(value.to_string()))
    }
}
