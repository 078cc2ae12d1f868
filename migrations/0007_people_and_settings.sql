-- oldest-program: 3
-- What administrators do by hand or by SQL: members and whose users they are, settings of a sync, tokens of OAuth sites.

-- ---------------------------------------------------------------------------------------------------- people

-- So that members can be added by plain SQL.
ALTER TABLE syncline.member ALTER COLUMN id SET DEFAULT syncline.new_id();
ALTER TABLE syncline.member ADD CONSTRAINT member_name_check CHECK (name <> '');

-- What matching says of each user of a site: linked by hand (manual), to be linked (email, name), or not to be linked
-- (ambiguous, unmatched) with the reason. Only what is certain is linked: an e-mail address that Jira shows, or, where the
-- operator allows names, one free member and one user of exactly that name whose addresses do not speak against it.
CREATE FUNCTION syncline.match_members(site uuid)
RETURNS TABLE (account_id text, outcome text, member_id uuid, reason text) LANGUAGE sql STABLE AS $$
    WITH people AS (
        SELECT u.account_id, u.display_name, u.email FROM syncline.jira_user u
         WHERE u.site_id = $1 AND u.account_type IS DISTINCT FROM 'app'
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

-- ---------------------------------------------------------------------------------------------------- settings

-- What is set for a project, as one object: for each key its values, the widest scope first. The last one counts that is a
-- value of the key, which the program knows. A null id asks for the wider scopes alone.
CREATE FUNCTION syncline.effective_settings(site uuid, project uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_object_agg(k.key, k.given), '{}')
      FROM (SELECT t.key, jsonb_agg(t.value ORDER BY array_position(ARRAY['all', 'site', 'project'], t.scope)) AS given
              FROM syncline.setting t
             WHERE t.scope = 'all' OR (t.scope = 'site' AND t.scope_id = $1) OR (t.scope = 'project' AND t.scope_id = $2)
             GROUP BY t.key) k
$$;

-- ---------------------------------------------------------------------------------------------------- OAuth

-- An OAuth site has no credential of its own: its tokens are in site_oauth.
ALTER TABLE syncline.site DROP CONSTRAINT site_credential_check;
ALTER TABLE syncline.site ADD CONSTRAINT site_credential_check
    CHECK (credential ~ '^(env:|file:|enc:v1:)' OR (auth = 'oauth' AND credential = ''));

-- Who exchanges the refresh token now, and until when others leave it to them; where tokens are given, and where the site
-- is reached with them.
ALTER TABLE syncline.site_oauth
    ADD COLUMN refresh_owner uuid,
    ADD COLUMN refresh_until timestamptz,
    ADD COLUMN auth_url      text NOT NULL DEFAULT 'https://auth.atlassian.com',
    ADD COLUMN api_url       text NOT NULL DEFAULT 'https://api.atlassian.com',
    ADD COLUMN site_url      text;
