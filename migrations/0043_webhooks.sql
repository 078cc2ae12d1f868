-- oldest-program: 3
-- What Jira sends when something has changed: taken for a hint. A hint leads to a read of the issue, and never to a write.

CREATE TABLE syncline.webhook_secret (
    id           uuid PRIMARY KEY,
    site_id      uuid NOT NULL REFERENCES syncline.site ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('hmac', 'jwt', 'path')),
    credential   text CHECK (credential ~ '^(env:|file:|enc:v1:)'),
    fingerprint  bytea CHECK (length(fingerprint) = 32),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at      timestamptz,
    last_used_at timestamptz,
    CONSTRAINT webhook_secret_form CHECK ((kind = 'path') = (fingerprint IS NOT NULL) AND (kind <> 'path' OR credential IS NULL)
                                          AND (kind <> 'hmac' OR credential IS NOT NULL))
);
CREATE INDEX webhook_secret_site ON syncline.webhook_secret (site_id);
COMMENT ON TABLE syncline.webhook_secret IS 'What proves that a webhook comes from a site. Several count at once, so that one can take the place of another.';
COMMENT ON COLUMN syncline.webhook_secret.id IS 'Names it.';
COMMENT ON COLUMN syncline.webhook_secret.site_id IS 'The site: site.id.';
COMMENT ON COLUMN syncline.webhook_secret.kind IS 'hmac: Jira signs the body. jwt: an OAuth app sends a token. path: the address itself holds the secret.';
COMMENT ON COLUMN syncline.webhook_secret.credential IS 'A reference to the secret (env:NAME, file:PATH), or the secret encrypted; null for path, and for jwt where the secret of the site''s OAuth app counts.';
COMMENT ON COLUMN syncline.webhook_secret.fingerprint IS 'Of path: the SHA-256 of the secret, 32 bytes. It cannot be read from it.';
COMMENT ON COLUMN syncline.webhook_secret.created_by IS 'Who made it.';
COMMENT ON COLUMN syncline.webhook_secret.created_at IS 'When it was made.';
COMMENT ON COLUMN syncline.webhook_secret.ends_at IS 'When it stops counting; null while nothing takes its place.';
COMMENT ON COLUMN syncline.webhook_secret.last_used_at IS 'When a webhook was last proven by it, to the minute.';

CREATE TABLE syncline.webhook_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id     uuid NOT NULL REFERENCES syncline.site ON DELETE CASCADE,
    delivery    text NOT NULL CHECK (length(delivery) <= 200),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at     timestamptz,
    kind        text NOT NULL CHECK (length(kind) <= 100),
    issue_id    bigint,
    issue_key   text CHECK (length(issue_key) <= 300),
    verified    text NOT NULL CHECK (verified IN ('hmac', 'jwt', 'path')),
    outcome     text NOT NULL CHECK (outcome IN ('hinted', 'run', 'ignored', 'read')),
    reason      text,
    read_at     timestamptz,
    UNIQUE (site_id, delivery)
);
CREATE INDEX webhook_event_received ON syncline.webhook_event (received_at);
CREATE INDEX webhook_event_hinted ON syncline.webhook_event (site_id, issue_id) WHERE outcome = 'hinted';
COMMENT ON TABLE syncline.webhook_event IS 'Webhooks that were taken, for 7 days. Refused ones are counted in webhook_refusal.';
COMMENT ON COLUMN syncline.webhook_event.id IS 'Grows in the order in which they came.';
COMMENT ON COLUMN syncline.webhook_event.site_id IS 'The site: site.id.';
COMMENT ON COLUMN syncline.webhook_event.delivery IS 'What Jira calls the delivery; where it says nothing, the SHA-256 of the body. A second one of the same name is a duplicate and is not kept.';
COMMENT ON COLUMN syncline.webhook_event.received_at IS 'When it came, by the clock of the database.';
COMMENT ON COLUMN syncline.webhook_event.sent_at IS 'When Jira made it, as it says.';
COMMENT ON COLUMN syncline.webhook_event.kind IS 'What happened, as Jira calls it: jira:issue_updated.';
COMMENT ON COLUMN syncline.webhook_event.issue_id IS 'The issue that it is about: issue.id; null where it is about none.';
COMMENT ON COLUMN syncline.webhook_event.issue_key IS 'Its key, as the webhook says.';
COMMENT ON COLUMN syncline.webhook_event.verified IS 'What proved it: hmac, jwt or path.';
COMMENT ON COLUMN syncline.webhook_event.outcome IS 'hinted: the issue will be read. run: the project is synchronised. ignored: see reason. read: the issue has been read since.';
COMMENT ON COLUMN syncline.webhook_event.reason IS 'Why it was ignored: unknown_event, no_issue or untracked; why a run was requested: full.';
COMMENT ON COLUMN syncline.webhook_event.read_at IS 'When the issue was read since.';

CREATE TABLE syncline.webhook_hint (
    site_id    uuid NOT NULL REFERENCES syncline.site ON DELETE CASCADE,
    project_id uuid NOT NULL REFERENCES syncline.project ON DELETE CASCADE,
    issue_id   bigint NOT NULL,
    hinted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz,
    due_at     timestamptz NOT NULL,
    tries      smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (site_id, project_id, issue_id)
) WITH (fillfactor = 70);
CREATE INDEX webhook_hint_due ON syncline.webhook_hint (due_at);
COMMENT ON TABLE syncline.webhook_hint IS 'Issues that are to be read because a webhook named them: one row each, however many webhooks came.';
COMMENT ON COLUMN syncline.webhook_hint.site_id IS 'The site: site.id.';
COMMENT ON COLUMN syncline.webhook_hint.project_id IS 'The project: project.id.';
COMMENT ON COLUMN syncline.webhook_hint.issue_id IS 'The issue: issue.id; 0: all that is new in the project.';
COMMENT ON COLUMN syncline.webhook_hint.hinted_at IS 'When the newest webhook about it came, by the clock of the database.';
COMMENT ON COLUMN syncline.webhook_hint.changed_at IS 'When the issue changed, as Jira says: what is read older than this is read again.';
COMMENT ON COLUMN syncline.webhook_hint.due_at IS 'When it is to be read next; later while a run has it.';
COMMENT ON COLUMN syncline.webhook_hint.tries IS 'How often it was read too early.';

CREATE TABLE syncline.webhook_refusal (
    site_id uuid NOT NULL REFERENCES syncline.site ON DELETE CASCADE,
    reason  text NOT NULL,
    hour    timestamptz NOT NULL,
    count   bigint NOT NULL,
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site_id, reason, hour)
);
COMMENT ON TABLE syncline.webhook_refusal IS 'How many webhooks of a site were refused, by reason and hour, for 7 days. Each process writes its counts once a minute.';
COMMENT ON COLUMN syncline.webhook_refusal.site_id IS 'The site: site.id.';
COMMENT ON COLUMN syncline.webhook_refusal.reason IS 'Why: unsigned, bad_signature, too_old, too_large and so on.';
COMMENT ON COLUMN syncline.webhook_refusal.hour IS 'The beginning of the hour.';
COMMENT ON COLUMN syncline.webhook_refusal.count IS 'How many.';
COMMENT ON COLUMN syncline.webhook_refusal.last_at IS 'When they were last counted.';

-- So that a kind that nobody has gone through is seen to be behind from the start.
INSERT INTO syncline.upkeep (kind) VALUES ('webhooks');
