-- oldest-program: 3
-- Who may use the API, and by which way something was changed.

CREATE TABLE syncline.api_token (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CHECK (name <> ''),
    fingerprint  bytea NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0
                     AND scopes <@ ARRAY['read', 'replica', 'replica:restricted', 'operate', 'admin']),
    projects     uuid[] CHECK (cardinality(projects) > 0),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
-- One name for one token that counts; a name comes free when its token is revoked.
CREATE UNIQUE INDEX api_token_name ON syncline.api_token (name) WHERE revoked_at IS NULL;
COMMENT ON TABLE syncline.api_token IS 'Tokens of the API. A token is shown once, when it is made; only its fingerprint is kept.';
COMMENT ON COLUMN syncline.api_token.id IS 'Names the token in lists and in the audit.';
COMMENT ON COLUMN syncline.api_token.name IS 'What people call it; unique among the tokens that are not revoked.';
COMMENT ON COLUMN syncline.api_token.fingerprint IS 'The SHA-256 of the token, 32 bytes. The token cannot be read from it.';
COMMENT ON COLUMN syncline.api_token.scopes IS 'What its bearer may do: read, replica, replica:restricted, operate, admin.';
COMMENT ON COLUMN syncline.api_token.projects IS 'The only projects that it reaches: project.id; null for all.';
COMMENT ON COLUMN syncline.api_token.created_by IS 'Who made it.';
COMMENT ON COLUMN syncline.api_token.created_at IS 'When it was made.';
COMMENT ON COLUMN syncline.api_token.expires_at IS 'When it stops working; null for never.';
COMMENT ON COLUMN syncline.api_token.last_used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN syncline.api_token.revoked_at IS 'When it was revoked; null while it works.';

-- Functions of the schema write entries too: whoever calls them for somebody says for whom, for the transaction.
ALTER TABLE syncline.audit ADD COLUMN way text, ADD COLUMN address text;
ALTER TABLE syncline.audit
    ALTER COLUMN way SET DEFAULT nullif(current_setting('syncline.way', true), ''),
    ALTER COLUMN address SET DEFAULT nullif(current_setting('syncline.address', true), '');
COMMENT ON COLUMN syncline.audit.way IS 'The way in: cli, token, local; null for entries of older programs and of SQL.';
COMMENT ON COLUMN syncline.audit.address IS 'The address that the request came from; null at the command line.';
