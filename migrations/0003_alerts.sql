-- Alerts: episodes, what was told of them, the outbox, and the policy that decides who hears of what.
-- Every time here is the one that the program's clock gave: nothing is decided by this server's.

-- ---------------------------------------------------------------------------------------------------- episodes

CREATE TABLE syncline.alert (
    id              uuid PRIMARY KEY,
    -- What it is about and the class of the condition: 'site:UUID/SUSPENDED_PAYMENT'.
    key             text NOT NULL,
    scope           jsonb NOT NULL,
    scope_kind      text NOT NULL CHECK (scope_kind IN ('site', 'project', 'channel', 'system')),
    -- No foreign keys: an episode outlives the project that it was about.
    site_id         uuid,
    project_id      uuid,
    class           text NOT NULL,
    category        text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    -- pending: not told yet, it may pass. open: told, or to be told. absorbed: spoken for by the episode of its site.
    state           text NOT NULL CHECK (state IN ('pending', 'open', 'absorbed', 'resolved')),
    parent_id       uuid,
    -- The newest description, as telemetry gave it.
    details         jsonb NOT NULL,
    opened_at       timestamptz NOT NULL,
    -- Since when it holds without a break; a flapping condition begins anew each time.
    held_since      timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    cleared_at      timestamptz,
    resolved_at     timestamptz,
    -- Comes back before this time: the same episode again.
    damped_until    timestamptz,
    flaps           integer NOT NULL DEFAULT 0,
    -- What people were told last, and whether they believe that it goes on.
    told_open       boolean NOT NULL DEFAULT false,
    told_at         timestamptz,
    told_opened_at  timestamptz,
    told_severity   text,
    told_rung       smallint NOT NULL DEFAULT 0,
    told_age_seconds bigint NOT NULL DEFAULT 0,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note            text,
    last_seq        integer NOT NULL DEFAULT 0,
    next_action_at  timestamptz
) WITH (fillfactor = 70);
-- One open episode per key, whoever observes.
CREATE UNIQUE INDEX alert_one_open ON syncline.alert (key) WHERE state <> 'resolved';
CREATE INDEX alert_due ON syncline.alert (next_action_at) WHERE next_action_at IS NOT NULL;
CREATE INDEX alert_history ON syncline.alert (key, resolved_at);
CREATE INDEX alert_site ON syncline.alert (site_id, class) WHERE state <> 'resolved';
CREATE INDEX alert_parent ON syncline.alert (parent_id) WHERE state = 'absorbed';
CREATE INDEX alert_resolved ON syncline.alert (resolved_at) WHERE state = 'resolved';

-- The history of an episode.
CREATE TABLE syncline.alert_event (
    alert_id   uuid NOT NULL REFERENCES syncline.alert ON DELETE CASCADE,
    seq        integer NOT NULL,
    at         timestamptz NOT NULL,
    -- opened, escalated, reminder, resolved, test (told), or what somebody or something did: acknowledged, silenced, absorbed…
    event      text NOT NULL,
    reason     text NOT NULL,
    actor      text,
    severity   text NOT NULL,
    -- Withheld by a silence or a maintenance window.
    withheld   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (alert_id, seq)
);

-- The outbox: one row per message, channel and group of recipients, made in the transaction of the decision.
CREATE TABLE syncline.alert_delivery (
    id              uuid PRIMARY KEY,
    alert_id        uuid NOT NULL REFERENCES syncline.alert ON DELETE CASCADE,
    event_seq       integer NOT NULL,
    event           text NOT NULL,
    channel         text NOT NULL,
    -- Identifies the recipients: the same people, the same text.
    recipients      text NOT NULL,
    -- The recipients whose thread this belongs to: others only where some of them get a message later than the rest.
    thread          text NOT NULL,
    message         jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    next_try_at     timestamptz,
    finished_at     timestamptz,
    reference       text,
    -- Recipients who were refused while others got it: [{"to": …, "code": …, "message": …}].
    refused         jsonb NOT NULL DEFAULT '[]',
    reason_code     text,
    reason          text,
    UNIQUE (alert_id, event_seq, channel, recipients)
);
CREATE INDEX alert_delivery_pending ON syncline.alert_delivery (created_at) WHERE state = 'pending';

-- ---------------------------------------------------------------------------------------------------- policy

CREATE TABLE syncline.alert_channel (
    name            text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    kind            text NOT NULL CHECK (kind IN ('email', 'slack', 'whatsapp', 'webhook', 'log')),
    settings        jsonb NOT NULL DEFAULT '{}',
    credential      text CHECK (credential ~ '^(env:|file:|enc:v1:)'),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    -- Its health, as deliveries found it.
    failures        integer NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    reported        boolean NOT NULL DEFAULT false,
    reason_code     text,
    reason          text,
    -- When it was asked last whether it would take a message, and what was wrong then.
    probed_at       timestamptz,
    probe_problem   text
);
COMMENT ON COLUMN syncline.alert_channel.credential IS 'A reference (env:NAME, file:PATH) or a value encrypted with the configured key (enc:v1:…); never plain.';
-- Where everything goes that nobody else takes; it cannot be removed.
INSERT INTO syncline.alert_channel (name, kind, created_at, updated_at) VALUES ('log', 'log', now(), now());

CREATE TABLE syncline.alert_route (
    id                     uuid PRIMARY KEY,
    position               integer NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED,
    channel                text NOT NULL REFERENCES syncline.alert_channel,
    to_recipients          text[] NOT NULL DEFAULT '{}',
    cc_recipients          text[] NOT NULL DEFAULT '{}',
    bcc_recipients         text[] NOT NULL DEFAULT '{}',
    -- What it is for; empty lists and nulls leave a condition out.
    min_severity           text CHECK (min_severity IN ('info', 'warning', 'error', 'critical')),
    categories             text[] NOT NULL DEFAULT '{}',
    classes                text[] NOT NULL DEFAULT '{}',
    sites                  text[] NOT NULL DEFAULT '{}',
    projects               text[] NOT NULL DEFAULT '{}',
    -- 'MON-FRI 08:00-18:00 Europe/Berlin'
    hours                  text,
    -- Only for what nobody has acknowledged for so long.
    escalate_after_seconds bigint CHECK (escalate_after_seconds > 0),
    goes_on                boolean NOT NULL DEFAULT false,
    created_at             timestamptz NOT NULL
);

-- What keeps messages back for a time: a silence (of an episode, or of whatever matches) or a maintenance window.
CREATE TABLE syncline.alert_silence (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('silence', 'maintenance')),
    alert_id     uuid REFERENCES syncline.alert ON DELETE CASCADE,
    min_severity text CHECK (min_severity IN ('info', 'warning', 'error', 'critical')),
    categories   text[] NOT NULL DEFAULT '{}',
    classes      text[] NOT NULL DEFAULT '{}',
    sites        text[] NOT NULL DEFAULT '{}',
    projects     text[] NOT NULL DEFAULT '{}',
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL,
    reason       text NOT NULL DEFAULT '',
    CHECK (ends_at > starts_at)
);
CREATE INDEX alert_silence_ends ON syncline.alert_silence (ends_at);
