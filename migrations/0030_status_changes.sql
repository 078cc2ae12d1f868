-- oldest-program: 3
-- What the views need of a history is kept with it: of each change of a status, the ids as numbers, its place among those of
-- its issue, and when the next one came. So a view of a hundred thousand issues reads an index, and sorts nothing.

-- ---------------------------------------------------------------------------------------------------- columns

-- Not generated columns: PostgreSQL would compute them for each row of a history, and few are changes of status.
ALTER TABLE syncline.changelog
    ADD COLUMN from_status_id bigint,
    ADD COLUMN to_status_id   bigint,
    ADD COLUMN status_place   integer,
    ADD COLUMN status_until   timestamptz;
COMMENT ON COLUMN syncline.changelog.from_status_id IS 'Of a change of status: Jira''s id of the status before; null where the history does not tell it.';
COMMENT ON COLUMN syncline.changelog.to_status_id IS 'Of a change of status: Jira''s id of the status after.';
COMMENT ON COLUMN syncline.changelog.status_place IS 'Of a change of status: its place among those of the issue in the order of time, from 1; null for other fields.';
COMMENT ON COLUMN syncline.changelog.status_until IS 'Of a change of status: when the next one came; null while there is none, and for other fields.';

UPDATE syncline.changelog c SET status_place = n.place, status_until = n.until, from_status_id = n.from_id, to_status_id = n.to_id
  FROM (SELECT site_id, id, item, row_number() OVER w AS place, lead(created_at) OVER w AS until,
               CASE WHEN from_value ~ '^[0-9]{1,18}$' THEN from_value::bigint END AS from_id,
               CASE WHEN to_value ~ '^[0-9]{1,18}$' THEN to_value::bigint END AS to_id
          FROM syncline.changelog WHERE field = 'status' OR field_id = 'status'
        WINDOW w AS (PARTITION BY site_id, issue_id ORDER BY created_at, id, item)) n
 WHERE c.site_id = n.site_id AND c.id = n.id AND c.item = n.item;

-- ---------------------------------------------------------------------------------------------------- kept right

-- Puts places, ends and ids of issues' changes of status right. Who adds to a history that is there calls it in the same
-- transaction; a history that is written whole brings both along.
CREATE FUNCTION syncline.place_status_changes(site uuid, issues bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Of two that add to one history the second one sees what the first one wrote.
    PERFORM 1 FROM syncline.issue i WHERE i.site_id = site AND i.id = ANY (issues) ORDER BY i.id FOR NO KEY UPDATE;
    UPDATE syncline.changelog c SET status_place = n.place, status_until = n.until, from_status_id = n.from_id, to_status_id = n.to_id
      FROM (SELECT h.id, h.item, (row_number() OVER w)::integer AS place, lead(h.created_at) OVER w AS until,
                   CASE WHEN h.from_value ~ '^[0-9]{1,18}$' THEN h.from_value::bigint END AS from_id,
                   CASE WHEN h.to_value ~ '^[0-9]{1,18}$' THEN h.to_value::bigint END AS to_id
              FROM syncline.changelog h
             WHERE h.site_id = site AND h.issue_id = ANY (issues) AND (h.field = 'status' OR h.field_id = 'status')
            WINDOW w AS (PARTITION BY h.issue_id ORDER BY h.created_at, h.id, h.item)) n
     WHERE c.site_id = site AND c.id = n.id AND c.item = n.item
       AND (c.status_place, c.status_until, c.from_status_id, c.to_status_id) IS DISTINCT FROM (n.place, n.until, n.from_id, n.to_id);
END $$;

-- For rows that come without: from programs of the release before, or by hand. Once for a statement, however many rows it adds.
CREATE FUNCTION syncline.place_added_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lacking record;
BEGIN
    FOR lacking IN
        SELECT a.site_id, array_agg(DISTINCT a.issue_id) AS issues FROM added a
         WHERE a.status_place IS NULL AND (a.field = 'status' OR a.field_id = 'status') GROUP BY a.site_id
    LOOP
        PERFORM syncline.place_status_changes(lacking.site_id, lacking.issues);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER changelog_added AFTER INSERT ON syncline.changelog
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION syncline.place_added_changes();

-- Corrections are rare.
CREATE FUNCTION syncline.place_corrected_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM syncline.place_status_changes(OLD.site_id, ARRAY[OLD.issue_id]);
    IF NEW.field <> 'status' AND NEW.field_id IS DISTINCT FROM 'status' THEN
        UPDATE syncline.changelog c SET status_place = NULL, status_until = NULL, from_status_id = NULL, to_status_id = NULL
         WHERE c.site_id = NEW.site_id AND c.id = NEW.id AND c.item = NEW.item;
    END IF;
    PERFORM syncline.place_status_changes(NEW.site_id, ARRAY[NEW.issue_id]);
    RETURN NULL;
END $$;
CREATE TRIGGER changelog_corrected AFTER UPDATE OF issue_id, created_at, field, field_id, from_value, to_value ON syncline.changelog
    FOR EACH ROW WHEN ((OLD.issue_id, OLD.created_at, OLD.field, OLD.field_id, OLD.from_value, OLD.to_value)
                       IS DISTINCT FROM (NEW.issue_id, NEW.created_at, NEW.field, NEW.field_id, NEW.from_value, NEW.to_value)
                       AND (OLD.status_place IS NOT NULL OR NEW.field = 'status' OR NEW.field_id = 'status'))
    EXECUTE FUNCTION syncline.place_corrected_change();
REVOKE EXECUTE ON FUNCTION syncline.place_status_changes(uuid, bigint[]), syncline.place_added_changes(), syncline.place_corrected_change() FROM PUBLIC;

-- ---------------------------------------------------------------------------------------------------- indexes

-- All that the views read of changes of status and of sprints is in these, so that a table of histories is not touched.
DROP INDEX syncline.changelog_status;
CREATE INDEX changelog_status ON syncline.changelog (site_id, issue_id, status_place)
    INCLUDE (created_at, status_until, from_status_id, to_status_id) WHERE status_place IS NOT NULL;
CREATE INDEX changelog_sprint ON syncline.changelog (site_id, issue_id) INCLUDE (created_at, from_value, to_value) WHERE field = 'Sprint';
-- Histories come in the order in which their issues were updated: a summary of each megabyte finds what changed lately, at
-- the cost of nothing. A tree would be paid for with each of five or six rows of an issue.
CREATE INDEX changelog_created ON syncline.changelog USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX issue_assignee ON syncline.issue (site_id, assignee_account_id) WHERE assignee_account_id IS NOT NULL;
CREATE INDEX issue_parent_id ON syncline.issue (site_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX issue_labels ON syncline.issue USING gin (labels);
CREATE INDEX worklog_started ON syncline.worklog (started_at);
