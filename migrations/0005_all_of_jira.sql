-- oldest-program: 3
-- All of Jira: sites of both kinds, every entity of the replica, tracked users, members, settings, the fleet's rate limits.
-- Everything here is added with a default or nullable: programs of the release before work on it as they did. The first run
-- of a project by this release is full, because `changelog` has no cursor yet, and fills the new columns.

-- ---------------------------------------------------------------------------------------------------- sites

ALTER TABLE syncline.site DROP CONSTRAINT site_kind_check;
ALTER TABLE syncline.site ADD CONSTRAINT site_kind_check CHECK (kind IN ('cloud', 'data_center'));
ALTER TABLE syncline.site
    ADD COLUMN auth                text NOT NULL DEFAULT 'basic' CHECK (auth IN ('basic', 'bearer', 'oauth')),
    ADD COLUMN version             text,
    ADD COLUMN cloud_id            text,
    ADD COLUMN story_points_field  text,
    ADD COLUMN token_expires_at    timestamptz,
    ADD COLUMN checked_at          timestamptz,
    ADD COLUMN catalogue_synced_at timestamptz,
    ADD COLUMN users_synced_at     timestamptz,
    ADD COLUMN match_by_name       boolean NOT NULL DEFAULT false,
    ADD COLUMN points_per_hour     integer CHECK (points_per_hour > 0);
COMMENT ON COLUMN syncline.site.auth IS 'basic: e-mail and API token. bearer: personal access token (Data Center) or a token of a service account. oauth: OAuth 2.0 (3LO), see site_oauth.';
COMMENT ON COLUMN syncline.site.story_points_field IS 'The field that holds story points, where an operator named it; else it is found by kind and by name.';
COMMENT ON COLUMN syncline.site.match_by_name IS 'Whether members may be matched to users of this site by display name where the e-mail address does not decide.';
COMMENT ON COLUMN syncline.site.points_per_hour IS 'The hourly quota of an OAuth app, in Atlassian''s points; null where the site has none.';

-- The tokens of OAuth 2.0 (3LO). A refresh token is used once: who refreshes locks the row, and stores the new pair before
-- anyone uses it.
CREATE TABLE syncline.site_oauth (
    site_id       uuid PRIMARY KEY REFERENCES syncline.site ON DELETE CASCADE,
    client_id     text NOT NULL,
    client_secret text NOT NULL CHECK (client_secret ~ '^(env:|file:|enc:v1:)'),
    scopes        text NOT NULL,
    access_token  text CHECK (access_token ~ '^enc:v1:'),
    refresh_token text CHECK (refresh_token ~ '^enc:v1:'),
    expires_at    timestamptz,
    generation    bigint NOT NULL DEFAULT 0,
    -- Set when Jira says that the refresh token no longer counts: only a person can mend it.
    revoked_at    timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What a site does not offer or does not show, so that it is said and not asked for again with each page.
CREATE TABLE syncline.site_capability (
    site_id    uuid NOT NULL REFERENCES syncline.site ON DELETE CASCADE,
    feature    text NOT NULL,
    state      text NOT NULL CHECK (state IN ('available', 'absent', 'forbidden')),
    reason     text,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site_id, feature)
);
COMMENT ON TABLE syncline.site_capability IS 'What Jira withholds from the account: absent (the site has no such endpoint) or forbidden (the account may not), with the reason.';

-- ---------------------------------------------------------------------------------------------------- projects

ALTER TABLE syncline.project
    ADD COLUMN jira_state          text NOT NULL DEFAULT 'live' CHECK (jira_state IN ('live', 'archived', 'deleted', 'not_visible')),
    ADD COLUMN jira_state_since    timestamptz,
    ADD COLUMN project_type        text,
    ADD COLUMN lead_account_id     text,
    ADD COLUMN previous_keys       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN tracking            text NOT NULL DEFAULT 'all' CHECK (tracking IN ('all', 'listed')),
    ADD COLUMN catalogue_synced_at timestamptz,
    ADD COLUMN reconciled_at       timestamptz,
    ADD COLUMN reconcile_tried_at  timestamptz;
COMMENT ON COLUMN syncline.project.jira_state IS 'How Jira shows the project: live, archived, deleted (in the trash), or not_visible (gone or hidden, which look the same).';
COMMENT ON COLUMN syncline.project.tracking IS 'all: every issue. listed: only issues that concern a user in tracked_user.';

CREATE TABLE syncline.tracked_user (
    project_id    uuid NOT NULL REFERENCES syncline.project ON DELETE CASCADE,
    account_id    text NOT NULL,
    added_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    added_by      text NOT NULL,
    -- Null until a run has read the user's whole history.
    backfilled_at timestamptz,
    PRIMARY KEY (project_id, account_id)
);

-- A project that is to be read whole again was read in parts until now: what its cursors say does not count for the rest.
CREATE FUNCTION syncline.forget_partial_cursors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE syncline.sync_state SET cursor_at = NULL WHERE project_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER project_tracks_all AFTER UPDATE OF tracking ON syncline.project
    FOR EACH ROW WHEN (OLD.tracking = 'listed' AND NEW.tracking = 'all') EXECUTE FUNCTION syncline.forget_partial_cursors();

-- ---------------------------------------------------------------------------------------------------- runs

ALTER TABLE syncline.sync_run
    ADD COLUMN reconcile          boolean NOT NULL DEFAULT false,
    ADD COLUMN issues_deleted     bigint NOT NULL DEFAULT 0,
    ADD COLUMN changes_written    bigint NOT NULL DEFAULT 0,
    ADD COLUMN requests           bigint NOT NULL DEFAULT 0,
    ADD COLUMN collections_from   timestamptz;
COMMENT ON COLUMN syncline.sync_run.collections_from IS 'Comments, worklogs and history of an issue that is as it was are fetched only if it was updated at or after this.';
COMMENT ON COLUMN syncline.sync_run.reconcile IS 'The run also sweeps the ids of all issues and marks what is gone.';

ALTER TABLE syncline.sync_partition
    -- Partitions of one chain follow each other in time; the cursor is what every chain has reached. -1: the history of users
    -- who were just added, which moves no cursor.
    ADD COLUMN chain           integer NOT NULL DEFAULT 0,
    ADD COLUMN account_ids     text[],
    ADD COLUMN changes_written bigint NOT NULL DEFAULT 0,
    -- How many issues of written pages wait for a bundle in which their history is asked for.
    ADD COLUMN changes_waiting integer NOT NULL DEFAULT 0;
ALTER TABLE syncline.sync_page
    ADD COLUMN changes_pending integer NOT NULL DEFAULT 0,
    -- The issues of the page whose history is to be fetched, and the bundle (named by its last page) that does it.
    ADD COLUMN change_ids      bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN change_bundle   integer;

ALTER TABLE syncline.sync_state DROP CONSTRAINT sync_state_entity_check;
ALTER TABLE syncline.sync_state ADD CONSTRAINT sync_state_entity_check CHECK (entity IN ('issue', 'comment', 'worklog', 'changelog'));

-- The ids that a reconciliation has met so far: what the replica has besides is gone.
CREATE TABLE syncline.reconcile_seen (
    run_id   uuid NOT NULL REFERENCES syncline.sync_run ON DELETE CASCADE,
    issue_id bigint NOT NULL,
    PRIMARY KEY (run_id, issue_id)
);

-- Requests a run that also compares the ids of all issues; answers the id of the run that does it.
CREATE FUNCTION syncline.request_reconcile(project text, kind text DEFAULT 'incremental', requested_by text DEFAULT current_user)
RETURNS uuid LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    run uuid := syncline.enqueue_sync(project, kind, requested_by);
BEGIN
    -- The run is either made by this transaction or waits behind another one: no worker has planned it.
    UPDATE syncline.sync_run r SET reconcile = true WHERE r.id = run;
    RETURN run;
END $$;
COMMENT ON FUNCTION syncline.request_reconcile IS 'As enqueue_sync; the run also marks issues that are gone from Jira and fetches those that are missing here.';

-- ---------------------------------------------------------------------------------------------------- the replica

ALTER TABLE syncline.issue
    ADD COLUMN issue_type_id              bigint,
    ADD COLUMN is_subtask                 boolean NOT NULL DEFAULT false,
    ADD COLUMN status_id                  bigint,
    ADD COLUMN priority_id                bigint,
    ADD COLUMN resolution_id              bigint,
    ADD COLUMN environment                text,
    ADD COLUMN security_level             text,
    ADD COLUMN status_category_changed_at timestamptz,
    ADD COLUMN original_estimate_seconds  bigint,
    ADD COLUMN remaining_estimate_seconds bigint,
    ADD COLUMN time_spent_seconds         bigint,
    ADD COLUMN component_ids              bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN fix_version_ids            bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN affects_version_ids        bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN sprint_ids                 bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN fields                     jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN votes                      integer,
    ADD COLUMN watchers                   integer,
    ADD COLUMN deleted_reason             text CHECK (deleted_reason IN ('deleted', 'not_visible', 'moved'));
COMMENT ON COLUMN syncline.issue.fields IS 'Every field without a column of its own, by field id; names and types are in syncline.field.';
COMMENT ON COLUMN syncline.issue.sprint_ids IS 'The sprints that the issue is or was in, as its sprint field says.';
COMMENT ON COLUMN syncline.issue.votes IS 'As of the last change of the issue: votes and watchers do not move its updated_at.';
COMMENT ON COLUMN syncline.issue.deleted_at IS 'When the issue was found to be gone; the row and its history stay.';
COMMENT ON COLUMN syncline.issue.deleted_reason IS 'deleted: the account may browse the project and would see it. not_visible: gone or hidden, which look the same. moved: to a project that is not synchronised.';

CREATE TABLE syncline.changelog (
    site_id           uuid NOT NULL,
    id                bigint NOT NULL,
    item              smallint NOT NULL,
    issue_id          bigint NOT NULL,
    author_account_id text,
    created_at        timestamptz NOT NULL,
    field             text NOT NULL,
    field_id          text,
    field_type        text,
    from_value        text,
    from_text         text,
    to_value          text,
    to_text           text,
    PRIMARY KEY (site_id, id, item)
);
CREATE INDEX changelog_issue ON syncline.changelog (site_id, issue_id, created_at);
COMMENT ON TABLE syncline.changelog IS 'The history of issues, one row per changed field. Rows are never changed: Jira''s history is not edited.';

CREATE TABLE syncline.issue_link (
    site_id        uuid NOT NULL,
    issue_id       bigint NOT NULL,
    id             bigint NOT NULL,
    link_type      text NOT NULL,
    relation       text NOT NULL,
    direction      text NOT NULL CHECK (direction IN ('outward', 'inward')),
    other_issue_id bigint NOT NULL,
    other_key      text NOT NULL,
    PRIMARY KEY (site_id, issue_id, id)
);
CREATE INDEX issue_link_other ON syncline.issue_link (site_id, other_issue_id);
COMMENT ON TABLE syncline.issue_link IS 'Links between issues, one row from each end that is in the replica: "relation" reads from issue_id to other_issue_id.';

CREATE TABLE syncline.attachment (
    site_id           uuid NOT NULL,
    id                bigint NOT NULL,
    issue_id          bigint NOT NULL,
    file_name         text NOT NULL,
    author_account_id text,
    created_at        timestamptz NOT NULL,
    size_bytes        bigint NOT NULL,
    mime_type         text,
    PRIMARY KEY (site_id, id)
);
CREATE INDEX attachment_issue ON syncline.attachment (site_id, issue_id);
COMMENT ON TABLE syncline.attachment IS 'What is known of attached files; the files stay in Jira.';

CREATE TABLE syncline.board (
    site_id    uuid NOT NULL REFERENCES syncline.site,
    id         bigint NOT NULL,
    name       text NOT NULL,
    board_type text NOT NULL,
    jira_project_id bigint,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz,
    PRIMARY KEY (site_id, id)
);

CREATE TABLE syncline.sprint (
    site_id      uuid NOT NULL REFERENCES syncline.site,
    id           bigint NOT NULL,
    name         text NOT NULL,
    state        text NOT NULL,
    board_id     bigint,
    goal         text,
    started_at   timestamptz,
    ends_at      timestamptz,
    completed_at timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at   timestamptz,
    PRIMARY KEY (site_id, id)
);
COMMENT ON COLUMN syncline.sprint.state IS 'future, active or closed.';

CREATE TABLE syncline.version (
    site_id      uuid NOT NULL REFERENCES syncline.site,
    id           bigint NOT NULL,
    jira_project_id bigint,
    name         text NOT NULL,
    description  text,
    archived     boolean NOT NULL,
    released     boolean NOT NULL,
    start_date   date,
    release_date date,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at   timestamptz,
    PRIMARY KEY (site_id, id)
);

CREATE TABLE syncline.component (
    site_id         uuid NOT NULL REFERENCES syncline.site,
    id              bigint NOT NULL,
    jira_project_id bigint,
    name            text NOT NULL,
    description     text,
    lead_account_id text,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at      timestamptz,
    PRIMARY KEY (site_id, id)
);

CREATE TABLE syncline.status (
    site_id     uuid NOT NULL REFERENCES syncline.site,
    id          bigint NOT NULL,
    name        text NOT NULL,
    category    text NOT NULL,
    description text,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz,
    PRIMARY KEY (site_id, id)
);
COMMENT ON COLUMN syncline.status.category IS 'Jira''s key of the category: new, indeterminate, done or undefined.';

-- Issue types, priorities and resolutions.
CREATE TABLE syncline.term (
    site_id     uuid NOT NULL REFERENCES syncline.site,
    kind        text NOT NULL CHECK (kind IN ('issue_type', 'priority', 'resolution')),
    id          bigint NOT NULL,
    name        text NOT NULL,
    description text,
    is_subtask  boolean NOT NULL DEFAULT false,
    position    integer NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz,
    PRIMARY KEY (site_id, kind, id)
);
COMMENT ON TABLE syncline.term IS 'Issue types, priorities (in their order) and resolutions, as Jira lists them.';

CREATE TABLE syncline.field (
    site_id     uuid NOT NULL REFERENCES syncline.site,
    id          text NOT NULL,
    name        text NOT NULL,
    custom      boolean NOT NULL,
    value_type  text,
    items       text,
    custom_kind text,
    system      text,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz,
    PRIMARY KEY (site_id, id)
);
COMMENT ON TABLE syncline.field IS 'The names and types of the fields: what the keys of issue.fields mean.';

-- ---------------------------------------------------------------------------------------------------- people

CREATE TABLE syncline.member (
    id         uuid PRIMARY KEY,
    email      text,
    name       text NOT NULL,
    team       text,
    active     boolean NOT NULL DEFAULT true,
    external_id text UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX member_email ON syncline.member (lower(email)) WHERE email IS NOT NULL;
COMMENT ON TABLE syncline.member IS 'The people of the organisation, as imported; member_link says which Jira users they are.';

CREATE TABLE syncline.member_link (
    site_id    uuid NOT NULL,
    account_id text NOT NULL,
    member_id  uuid NOT NULL REFERENCES syncline.member ON DELETE CASCADE,
    matched_by text NOT NULL CHECK (matched_by IN ('manual', 'email', 'name')),
    linked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    linked_by  text NOT NULL,
    PRIMARY KEY (site_id, account_id)
);
CREATE INDEX member_link_member ON syncline.member_link (member_id);
COMMENT ON COLUMN syncline.member_link.matched_by IS 'manual: linked by a person, and never changed by matching. email, name: found by matching.';

-- ---------------------------------------------------------------------------------------------------- settings

-- Parameters of a sync that were set by hand: for all, for a site, or for a project. The narrowest wins.
CREATE TABLE syncline.setting (
    scope      text NOT NULL CHECK (scope IN ('all', 'site', 'project')),
    scope_id   uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    key        text NOT NULL,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by text NOT NULL,
    PRIMARY KEY (scope, scope_id, key)
);

-- ---------------------------------------------------------------------------------------------------- limits

-- One token bucket per site and endpoint scope, shared by all processes: requests are paid for here, in bundles. A bucket is
-- made when a limit is first felt, and forgotten when it has not been felt for a day.
CREATE TABLE syncline.rate_bucket (
    key             text PRIMARY KEY,
    rate_per_second double precision NOT NULL CHECK (rate_per_second > 0),
    burst           double precision NOT NULL CHECK (burst > 0),
    -- Negative: turns that were given for the future.
    tokens          double precision NOT NULL,
    refilled_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the limit was last felt: by a refusal, or because little was left.
    limited_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    refused_at      timestamptz,
    -- The rate at which Jira last refused.
    ceiling         double precision,
    -- What Jira said was left, in tokens, when the rate was last adapted.
    remaining       double precision,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- The plan of an hourly quota of points, for sites that have one.
CREATE TABLE syncline.rate_quota (
    key             text PRIMARY KEY,
    points_per_hour double precision NOT NULL CHECK (points_per_hour > 0),
    spent           double precision NOT NULL DEFAULT 0,
    -- What may be spent at once; negative: points that were given for the future.
    tokens          double precision NOT NULL,
    refilled_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    resets_at       timestamptz NOT NULL
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------------------------------------------- verification

-- The last verification of each project.
CREATE TABLE syncline.verification (
    project_id   uuid PRIMARY KEY REFERENCES syncline.project ON DELETE CASCADE,
    finished_at  timestamptz NOT NULL,
    mode         text NOT NULL CHECK (mode IN ('sweep', 'sample')),
    compared     bigint NOT NULL,
    differences  bigint NOT NULL,
    by_entity    jsonb NOT NULL
);
COMMENT ON COLUMN syncline.verification.by_entity IS 'Per entity what was compared and what differed: {"issue": {"compared": 100, "missing": 0, "stale": 1, "extra": 0}, …}.';
