//! The people of the simulated site, each with the JSON that names them, rendered once.

use chrono_tz::Tz;

use super::json::Json;
use super::options::Kind;
use super::seed::{Dice, Purpose};

/// One user of the site.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) account_id: String,
    /// User name on Data Center: the e-mail address up to the `@`.
    pub(super) name: String,
    /// User key on Data Center: accounts from before version 8.4 have their name for it.
    pub(super) key: String,
    pub(super) display_name: String,
    /// As it was shown when the site began: texts and histories go on telling it so.
    pub(super) first_name: String,
    pub(super) email: String,
    pub(super) zone: Tz,
    /// False when the address is hidden from others.
    pub(super) shows_email: bool,
    /// Jira has closed the account.
    pub(super) closed: bool,
    /// The user object as it stands in issues, comments and worklogs.
    pub(super) json: String,
    /// The same with the e-mail address always shown: what `/myself` tells about oneself.
    pub(super) own_json: String,
}

#[rustfmt::skip] // a table
const FIRST: [&str; 20] = [
    "Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kavya", "Liam", "Mei",
    "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Søren", "Tala",
];
#[rustfmt::skip] // a table
const LAST: [&str; 20] = [
    "Abara", "Bergström", "Castillo", "Dvořák", "Eklund", "Ferrari", "Grün", "Haddad", "Ito", "Jansen", "Kowalska",
    "Lindqvist", "Moreau", "Nakamura", "O'Leary", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka",
];
const ZONES: [Tz; 6] =
    [Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Kolkata, Tz::Asia__Tokyo, Tz::America__St_Johns];

/// How a person is told apart from the generated ones: the holder of an API token.
#[derive(Debug)]
pub(super) struct Holder<'a> {
    pub(super) email: &'a str,
    pub(super) zone: Tz,
}

/// Makes the person with number `index`; `holder` fixes what an API account prescribes.
pub(super) fn person(
    seed: u64,
    index: usize,
    kind: Kind,
    api: &str,
    base_url: &str,
    holder: Option<Holder<'_>>,
) -> Person {
    let mut dice = Dice::new(seed, Purpose::Person, index as u64, 0);
    let account_id = format!(
        "712020:{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
        dice.next() as u32,
        dice.next() as u16,
        dice.below(4096),
        dice.below(4096),
        dice.next() >> 16
    );
    let (first, last) = (FIRST[index % FIRST.len()], *dice.pick(&LAST));
    let generated = format!("{}.{index}@example.com", first.to_lowercase().replace('ø', "oe"));
    let hidden = dice.chance(0.33);
    let active = holder.is_some() || !dice.chance(0.08);
    let account_type = match dice.below(20) {
        _ if holder.is_some() => "atlassian",
        0 => "app",
        1 => "customer",
        _ => "atlassian",
    };
    let zone = holder.as_ref().map_or_else(|| *dice.pick(&ZONES), |holder| holder.zone);
    let email = holder.map_or(generated, |holder| holder.email.to_owned());
    let name = email.split('@').next().unwrap_or_default().to_owned();
    let display_name = if account_type == "app" { format!("{last} Bot") } else { format!("{first} {last}") };
    let mut person = Person {
        account_id,
        key: if index % 3 == 1 { name.clone() } else { format!("JIRAUSER{}", 10_000 + index) },
        name,
        first_name: display_name.clone(),
        display_name,
        email,
        zone,
        // Data Center hides addresses from nobody who is signed in, unless its administrator says so.
        shows_email: !hidden || kind == Kind::DataCenter,
        closed: false,
        json: String::new(),
        own_json: String::new(),
    };
    let rendering = Rendering { kind, api, base_url, active, account_type };
    person.json = rendering.render(&person, person.shows_email);
    person.own_json = rendering.render(&person, true);
    person
}

impl Person {
    /// Gives the person another name.
    pub(super) fn rename(&mut self, name: &str) {
        let member = |name: &str| format!("\"displayName\":{}", serde_json::Value::from(name));
        for json in [&mut self.json, &mut self.own_json] {
            *json = json.replacen(&member(&self.display_name), &member(name), 1);
        }
        name.clone_into(&mut self.display_name);
    }

    /// The account is closed: what is shown of it names nobody.
    pub(super) fn close(&mut self, kind: Kind) {
        let name = match kind {
            Kind::Cloud => "Former user".to_owned(),
            Kind::DataCenter => format!("user-{}", 57_690 + self.zone.name().len()),
        };
        for json in [&mut self.json, &mut self.own_json] {
            let mut shown: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
            for member in ["emailAddress", "timeZone"] {
                shown.remove(member);
            }
            shown.insert("displayName".to_owned(), name.as_str().into());
            shown.insert("active".to_owned(), false.into());
            *json = serde_json::Value::Object(shown).to_string();
        }
        self.display_name = name;
        self.shows_email = false;
        self.closed = true;
    }

    /// What names the person in changelogs, properties and our own records: account id, or user key on Data Center.
    pub(super) fn id(&self, kind: Kind) -> &str {
        match kind {
            Kind::Cloud => &self.account_id,
            Kind::DataCenter => &self.key,
        }
    }
}

struct Rendering<'a> {
    kind: Kind,
    api: &'a str,
    base_url: &'a str,
    active: bool,
    account_type: &'a str,
}

impl Rendering<'_> {
    fn render(&self, person: &Person, show_email: bool) -> String {
        let Self { kind, api, base_url, active, account_type } = *self;
        let mut json = Json::default();
        match kind {
            Kind::Cloud => {
                json.open('{').text("self", &format!("{api}/user?accountId={}", person.account_id));
                json.text("accountId", &person.account_id);
            }
            Kind::DataCenter => {
                json.open('{').text("self", &format!("{api}/user?username={}", person.name));
                json.text("name", &person.name).text("key", &person.key);
            }
        }
        // Jira leaves the address out when its owner hides it.
        if show_email {
            json.text("emailAddress", &person.email);
        }
        json.key("avatarUrls").open('{');
        for size in ["48x48", "24x24", "16x16", "32x32"] {
            json.text(size, &format!("{base_url}/avatar/{size}.png"));
        }
        json.close('}').text("displayName", &person.display_name);
        json.member("active", if active { "true" } else { "false" });
        json.text("timeZone", person.zone.name());
        if kind == Kind::Cloud {
            json.text("accountType", account_type);
        }
        json.close('}');
        String::from_utf8_lossy(&json.into_bytes()).into_owned()
    }
}
