-- oldest-program: 3
-- People who are forgotten: whom somebody asked to have erased here, or whose account Jira has closed. The account id stays
-- as a pseudonym, so that sums stay right; the name does not come back with a later sync.

ALTER TABLE syncline.jira_user
    ADD COLUMN forgotten_at timestamptz,
    ADD COLUMN closed_at    timestamptz,
    ADD COLUMN erased_at    timestamptz;
COMMENT ON COLUMN syncline.jira_user.forgotten_at IS 'Since when the person is anonymised here; no sync brings the name back.';
COMMENT ON COLUMN syncline.jira_user.closed_at IS 'When Jira was first seen to show the account as closed or anonymised. It is anonymised here with the next reading of the users.';
COMMENT ON COLUMN syncline.jira_user.erased_at IS 'When the last trace of a forgotten person had been replaced; null while that is under way.';
-- Few people, of thousands of users: built in milliseconds.
CREATE INDEX jira_user_forgotten ON syncline.jira_user (site_id) WHERE forgotten_at IS NOT NULL OR closed_at IS NOT NULL;

-- What a forgotten person was called, as fingerprints: whoever writes what Jira says recognises the name and puts the pseudonym
-- in its place. A name cannot be read from its fingerprint.
CREATE TABLE syncline.forgotten_name (
    site_id    uuid NOT NULL REFERENCES syncline.site ON DELETE CASCADE,
    mark       bytea NOT NULL CHECK (length(mark) = 16),
    account_id text NOT NULL,
    PRIMARY KEY (site_id, mark)
);
COMMENT ON TABLE syncline.forgotten_name IS 'Fingerprints of the names, e-mail addresses and user names of forgotten people.';
COMMENT ON COLUMN syncline.forgotten_name.site_id IS 'The site: site.id.';
COMMENT ON COLUMN syncline.forgotten_name.mark IS 'The fingerprint: 16 bytes of BLAKE3 over the site, the kind of name and the name.';
COMMENT ON COLUMN syncline.forgotten_name.account_id IS 'Whose it is: jira_user.account_id.';

-- Atlassian asks apps to report the accounts of which they hold personal data, once per cycle.
ALTER TABLE syncline.site
    ADD COLUMN accounts_reported_at timestamptz,
    ADD COLUMN accounts_report_due_at timestamptz;
COMMENT ON COLUMN syncline.site.accounts_reported_at IS 'When the accounts of this site were last reported to Atlassian; only for sites by OAuth.';
COMMENT ON COLUMN syncline.site.accounts_report_due_at IS 'When they are reported next, by the cycle that Atlassian asked for.';

-- Whatever writes a user, of this program or of an older one: somebody who is forgotten stays so.
CREATE FUNCTION syncline.keep_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.forgotten_at := OLD.forgotten_at;
    NEW.display_name := CASE WHEN NEW.display_name = 'Former user' THEN NEW.display_name ELSE OLD.display_name END;
    NEW.email := CASE WHEN NEW.email IS NULL THEN NULL ELSE OLD.email END;
    NEW.time_zone := CASE WHEN NEW.time_zone IS NULL THEN NULL ELSE OLD.time_zone END;
    NEW.username := CASE WHEN NEW.username IS NULL THEN NULL ELSE OLD.username END;
    RETURN NEW;
END $$;
CREATE TRIGGER jira_user_keep_forgotten BEFORE UPDATE ON syncline.jira_user
    FOR EACH ROW WHEN (OLD.forgotten_at IS NOT NULL) EXECUTE FUNCTION syncline.keep_forgotten();
REVOKE EXECUTE ON FUNCTION syncline.keep_forgotten() FROM PUBLIC;

-- The audit is added to and never changed by those who work here: it names a person who is forgotten no more, by this way
-- alone. Answers how many entries do, or did where they are to be written.
CREATE FUNCTION syncline.forget_in_audit(text_pattern text, json_pattern text, former text, write boolean)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, syncline, pg_temp AS $$
DECLARE
    named bigint;
BEGIN
    IF former <> 'Former user' THEN
        RAISE EXCEPTION 'entries of the audit are changed to name a former user, and to nothing else'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT count(*) INTO named FROM syncline.audit a
     WHERE a.actor ~* text_pattern OR a.subject ~* text_pattern OR a.details::text ~* json_pattern;
    IF write AND named > 0 THEN
        UPDATE syncline.audit a
           SET actor = regexp_replace(a.actor, text_pattern, former, 'gi'),
               subject = regexp_replace(a.subject, text_pattern, former, 'gi'),
               details = regexp_replace(a.details::text, json_pattern, former, 'gi')::jsonb
         WHERE a.actor ~* text_pattern OR a.subject ~* text_pattern OR a.details::text ~* json_pattern;
    END IF;
    RETURN named;
END $$;
REVOKE EXECUTE ON FUNCTION syncline.forget_in_audit(text, text, text, boolean) FROM PUBLIC;

-- As before; who is forgotten is nobody.
CREATE OR REPLACE FUNCTION syncline.match_members(site uuid)
RETURNS TABLE (account_id text, outcome text, member_id uuid, reason text) LANGUAGE sql STABLE AS $$
    WITH people AS (
        SELECT u.account_id, u.display_name, u.email FROM syncline.jira_user u
         WHERE u.site_id = $1 AND u.account_type IS DISTINCT FROM 'app' AND u.forgotten_at IS NULL
    ), manual AS (
        SELECT l.account_id, l.member_id FROM syncline.member_link l WHERE l.site_id = $1 AND l.matched_by = 'manual'
    ), by_email AS (
        SELECT p.account_id, m.id AS member_id
          FROM people p JOIN syncline.member m ON lower(m.email) = lower(p.email)
         WHERE NOT EXISTS (SELECT 1 FROM manual h WHERE h.account_id = p.account_id)
        UNION ALL
        -- Jira hides the address by now; whose account it is has not changed by that.
        SELECT p.account_id, l.member_id
          FROM people p JOIN syncline.member_link l ON l.site_id = $1 AND l.account_id = p.account_id
         WHERE l.matched_by = 'email' AND p.email IS NULL
    ), settled AS (
        SELECT h.account_id, h.member_id, 'manual' AS outcome FROM manual h
        UNION ALL
        SELECT e.account_id, e.member_id, 'email' FROM by_email e
    ), rest AS (
        SELECT p.account_id, p.display_name, p.email, count(*) OVER (PARTITION BY p.display_name) AS namesakes
          FROM people p WHERE NOT EXISTS (SELECT 1 FROM settled t WHERE t.account_id = p.account_id)
    ), pairs AS (
        SELECT r.account_id, r.namesakes, m.id AS member_id,
               EXISTS (SELECT 1 FROM settled t WHERE t.member_id = m.id) AS taken,
               r.email IS NOT NULL AND m.email IS NOT NULL AS contradicted
          FROM rest r JOIN syncline.member m ON m.name = r.display_name
    ), judged AS (
        SELECT p.account_id, (array_agg(p.member_id ORDER BY p.member_id))[1] AS member_id,
               CASE WHEN count(*) > 1 THEN 'several_members'
                    WHEN max(p.namesakes) > 1 THEN 'several_users'
                    WHEN bool_or(p.taken) THEN 'member_taken'
                    WHEN bool_or(p.contradicted) THEN 'other_email' END AS doubt
          FROM pairs p GROUP BY p.account_id
    )
    SELECT t.account_id, t.outcome, t.member_id, NULL FROM settled t
    UNION ALL
    SELECT r.account_id,
           CASE WHEN j.doubt IS NOT NULL THEN 'ambiguous'
                WHEN j.account_id IS NOT NULL AND s.match_by_name THEN 'name'
                ELSE 'unmatched' END,
           CASE WHEN j.doubt IS DISTINCT FROM 'several_members' THEN j.member_id END,
           CASE WHEN j.doubt IS NOT NULL THEN j.doubt
                WHEN j.account_id IS NOT NULL AND s.match_by_name THEN NULL
                WHEN j.account_id IS NOT NULL THEN 'names_not_allowed'
                WHEN r.email IS NULL THEN 'hidden_email'
                ELSE 'no_member' END
      FROM rest r
      JOIN syncline.site s ON s.id = $1
      LEFT JOIN judged j ON j.account_id = r.account_id
$$;

-- The views for analysts show the new columns, where there are such views.
DO $$
BEGIN
    IF to_regprocedure('syncline.publish_replica()') IS NOT NULL THEN
        EXECUTE 'SELECT syncline.publish_replica()';
    END IF;
END $$;
