-- oldest-program: 3
-- People who sign in: accounts, their sessions, and how often somebody tried.

CREATE TABLE syncline.account (
    id              uuid PRIMARY KEY,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    email           text CHECK (length(email) BETWEEN 3 AND 254),
    role            text NOT NULL CHECK (role IN ('viewer', 'operator', 'administrator')),
    restricted      boolean NOT NULL DEFAULT false,
    projects        uuid[] CHECK (cardinality(projects) > 0),
    password_hash   text CHECK (password_hash LIKE '$argon2id$%'),
    oidc_issuer     text,
    oidc_subject    text,
    created_by      text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at     timestamptz,
    last_sign_in_at timestamptz,
    CONSTRAINT account_provider CHECK ((oidc_issuer IS NULL) = (oidc_subject IS NULL))
);
-- Names that differ in case alone would be taken for each other.
CREATE UNIQUE INDEX account_name ON syncline.account (lower(name));
CREATE UNIQUE INDEX account_subject ON syncline.account (oidc_issuer, oidc_subject);
COMMENT ON TABLE syncline.account IS 'People who sign in, each with a role.';
COMMENT ON COLUMN syncline.account.id IS 'Names the account for good.';
COMMENT ON COLUMN syncline.account.name IS 'What they sign in with, and what the audit calls them; upper and lower case are the same.';
COMMENT ON COLUMN syncline.account.email IS 'Their address; nothing is sent to it.';
COMMENT ON COLUMN syncline.account.role IS 'viewer, operator or administrator.';
COMMENT ON COLUMN syncline.account.restricted IS 'Whether they read comments and worklogs that Jira shows to some people only.';
COMMENT ON COLUMN syncline.account.projects IS 'The only projects that they reach: project.id; null for all.';
COMMENT ON COLUMN syncline.account.password_hash IS 'Argon2id in the PHC form; null where another provider says who they are.';
COMMENT ON COLUMN syncline.account.oidc_issuer IS 'The OpenID provider that says who they are; null for a local account.';
COMMENT ON COLUMN syncline.account.oidc_subject IS 'Their name at that provider; it never changes there.';
COMMENT ON COLUMN syncline.account.created_by IS 'Who made it.';
COMMENT ON COLUMN syncline.account.created_at IS 'When it was made.';
COMMENT ON COLUMN syncline.account.disabled_at IS 'When it was disabled; null while it works.';
COMMENT ON COLUMN syncline.account.last_sign_in_at IS 'When they last signed in.';

CREATE TABLE syncline.session (
    id           uuid PRIMARY KEY,
    fingerprint  bytea NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    account_id   uuid NOT NULL REFERENCES syncline.account ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at      timestamptz NOT NULL,
    address      text,
    user_agent   text CHECK (length(user_agent) <= 200)
);
CREATE INDEX session_account ON syncline.session (account_id);
CREATE INDEX session_seen ON syncline.session (last_seen_at);
COMMENT ON TABLE syncline.session IS 'Browsers that are signed in. A session that was ended is deleted.';
COMMENT ON COLUMN syncline.session.id IS 'Names the session in lists and in the audit.';
COMMENT ON COLUMN syncline.session.fingerprint IS 'The SHA-256 of what the browser keeps, 32 bytes. It cannot be read from it.';
COMMENT ON COLUMN syncline.session.account_id IS 'Who is signed in: account.id.';
COMMENT ON COLUMN syncline.session.created_at IS 'When they signed in.';
COMMENT ON COLUMN syncline.session.last_seen_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN syncline.session.ends_at IS 'When it ends, however much it is used.';
COMMENT ON COLUMN syncline.session.address IS 'The address that they signed in from.';
COMMENT ON COLUMN syncline.session.user_agent IS 'What the browser says it is.';

CREATE TABLE syncline.sign_in_attempt (
    key   text PRIMARY KEY CHECK (length(key) <= 200),
    tries integer NOT NULL,
    since timestamptz NOT NULL
);
CREATE INDEX sign_in_attempt_since ON syncline.sign_in_attempt (since);
COMMENT ON TABLE syncline.sign_in_attempt IS 'How often somebody tried to sign in lately, by account and by address.';
COMMENT ON COLUMN syncline.sign_in_attempt.key IS 'account:NAME or address:ADDRESS.';
COMMENT ON COLUMN syncline.sign_in_attempt.tries IS 'How often since then.';
COMMENT ON COLUMN syncline.sign_in_attempt.since IS 'When counting began.';

-- A token does no more than the account of who made it.
ALTER TABLE syncline.api_token ADD COLUMN account_id uuid REFERENCES syncline.account ON DELETE SET NULL;
CREATE INDEX api_token_account ON syncline.api_token (account_id);
COMMENT ON COLUMN syncline.api_token.account_id IS 'The account of who made it: account.id; null for the command line.';
COMMENT ON COLUMN syncline.audit.way IS 'The way in: cli, token, session, local; null for entries of older programs and of SQL.';
