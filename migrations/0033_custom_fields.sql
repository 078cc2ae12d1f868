-- oldest-program: 3
-- Custom fields by name: for each site a view `jira.issue_fields_SITE` with a typed column for each of its custom fields. It is made
-- from the list of fields, in the transaction that writes that list, and made again when the list says something else.

CREATE TABLE syncline.field_view (
    site_id    uuid PRIMARY KEY REFERENCES syncline.site ON DELETE CASCADE,
    name       text NOT NULL UNIQUE,
    definition text NOT NULL,
    problem    text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE syncline.field_view IS 'The view with the custom fields of each site.';
COMMENT ON COLUMN syncline.field_view.site_id IS 'The site.';
COMMENT ON COLUMN syncline.field_view.name IS 'The name of the view, in the schema jira.';
COMMENT ON COLUMN syncline.field_view.definition IS 'The query that it was made of; another list of fields makes another one.';
COMMENT ON COLUMN syncline.field_view.problem IS 'Why the view is not as the list of fields has it; null while it is. It is tried again with each reading of the list.';
COMMENT ON COLUMN syncline.field_view.updated_at IS 'When it was last made.';

-- What must hold: whatever fields are called, the view can be made, and a field keeps its column's name while there is no field
-- with a smaller id of the same name; no value can make a query fail; a view that cannot be made (others are built upon it, or are
-- reading it now) fails nothing and is noted. It works with its owner's rights, because workers make nothing in a schema.
CREATE FUNCTION syncline.publish_fields(site uuid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, syncline, pg_temp AS $$
DECLARE
    -- Days that there are, those of leap years too.
    day constant text := '^([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))'
        || '|([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)';
    clock constant text := 'T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])$';
    -- What one value is called: of an option, a version, a person, a group.
    called constant text := 'coalesce(%1$s ->> ''value'', %1$s ->> ''displayName'', %1$s ->> ''name'', %1$s ->> ''key'', %1$s ->> ''title'', %1$s #>> ''{}'')';
    base constant text[] := ARRAY['project_id', 'project_key', 'site_id', 'site_name', 'issue_id', 'issue_key', 'issue_url', 'issue_type', 'status', 'status_category'];
    taken text[] := base;
    named text[] := '{}';
    meanings text[] := '{}';
    view_name text;
    old syncline.field_view;
    definition text := '';
    f record;
    value text;
    column_name text;
    suffix text;
    kind text;
    patience text := current_setting('lock_timeout');
    reader record;
BEGIN
    -- One at a time.
    PERFORM pg_advisory_xact_lock(hashtextextended('syncline.fields ' || site::text, 0));
    SELECT * INTO old FROM syncline.field_view v WHERE v.site_id = site;
    view_name := old.name;
    IF view_name IS NULL THEN
        SELECT left('issue_fields_' || regexp_replace(s.name, '[^a-z0-9]+', '_', 'g'), 54) INTO view_name FROM syncline.site s WHERE s.id = site;
        IF view_name IS NULL THEN
            RETURN;
        END IF;
        IF EXISTS (SELECT FROM syncline.field_view v WHERE v.name = view_name) THEN
            view_name := view_name || '_' || right(site::text, 8);
        END IF;
    END IF;

    FOR f IN
        SELECT d.id, d.name, d.value_type, d.items FROM syncline.field d
         WHERE d.site_id = site AND d.custom AND d.deleted_at IS NULL
         ORDER BY length(d.id), d.id COLLATE "C"
         LIMIT 1500 -- PostgreSQL's views end at 1,600 columns
    LOOP
        -- Letters of all scripts stay; what is a sign or a blank becomes an underscore.
        column_name := btrim(regexp_replace(lower(f.name),
            '[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f\u0080-\u00a0\u2000-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+', '_', 'g'), '_');
        IF column_name = '' THEN
            column_name := 'field_' || regexp_replace(f.id, '[^A-Za-z0-9]+', '_', 'g');
        ELSIF column_name ~ '^[0-9]' THEN
            column_name := '_' || column_name;
        END IF;
        suffix := '_' || right(regexp_replace(f.id, '[^A-Za-z0-9]+', '_', 'g'), 20);
        suffix := regexp_replace(suffix, '^_customfield_', '_');
        WHILE octet_length(column_name) > 63 LOOP
            column_name := left(column_name, -1);
        END LOOP;
        IF column_name = ANY (taken) THEN
            WHILE octet_length(column_name) + octet_length(suffix) > 63 LOOP
                column_name := left(column_name, -1);
            END LOOP;
            column_name := column_name || suffix;
            IF column_name = ANY (taken) THEN
                column_name := 'field_' || md5(f.id);
            END IF;
        END IF;
        taken := taken || column_name;
        named := named || column_name;

        value := format('(i.fields -> %L)', f.id);
        CASE f.value_type
            WHEN 'number' THEN
                kind := 'number';
                value := format('CASE WHEN jsonb_typeof(%1$s) = ''number'' THEN (%1$s #>> ''{}'')::numeric END', value);
            WHEN 'date' THEN
                kind := 'date';
                value := format('CASE WHEN (%1$s #>> ''{}'') ~ %2$L THEN (%1$s #>> ''{}'')::date END', value, day || '$');
            WHEN 'datetime' THEN
                kind := 'time';
                value := format('CASE WHEN (%1$s #>> ''{}'') ~ %2$L THEN (%1$s #>> ''{}'')::timestamptz END', value, day || clock);
            WHEN 'array' THEN
                kind := 'list';
                value := format('CASE WHEN jsonb_typeof(%1$s) = ''array'' THEN ARRAY(SELECT ' || format(called, 'e.value')
                                || ' FROM jsonb_array_elements(CASE WHEN jsonb_typeof(%1$s) = ''array'' THEN %1$s ELSE ''[]'' END) WITH ORDINALITY AS e (value, place) ORDER BY e.place) END', value);
            WHEN 'option-with-child' THEN
                kind := 'option, and the one below it';
                value := format('(%1$s ->> ''value'') || coalesce('' / '' || (%1$s #>> ''{child,value}''), '''')', value);
            WHEN 'option', 'user', 'group', 'version', 'project', 'priority', 'resolution', 'issuetype', 'status' THEN
                kind := CASE f.value_type WHEN 'user' THEN 'the person''s name' ELSE f.value_type END;
                value := format(called, value);
            ELSE
                kind := 'text';
                value := format(called, value);
        END CASE;
        definition := definition || E',\n       ' || value || format(' AS %I', column_name);
        meanings := meanings || format('%s (%s): %s.', f.name, f.id, kind);
    END LOOP;
    definition := 'SELECT i.project_id, p.key AS project_key, i.site_id, s.name AS site_name, i.id AS issue_id, i.key AS issue_key, '
        || 'rtrim(s.base_url, ''/'') || ''/browse/'' || i.key AS issue_url, i.issue_type, i.status, i.status_category' || definition
        || format(E'\n  FROM syncline.issue i\n  LEFT JOIN syncline.project p ON p.id = i.project_id\n  LEFT JOIN syncline.site s ON s.id = i.site_id\n'
                  || ' WHERE i.site_id = %L AND i.deleted_at IS NULL', site);
    IF old.definition = definition AND to_regclass(format('jira.%I', view_name)) IS NOT NULL THEN
        UPDATE syncline.field_view v SET problem = NULL WHERE v.site_id = site AND v.problem IS NOT NULL;
        RETURN;
    END IF;

    BEGIN
        PERFORM set_config('lock_timeout', '2s', true);
        BEGIN
            -- New fields come last: what is built upon the view stays.
            EXECUTE format('CREATE OR REPLACE VIEW jira.%I AS %s', view_name, definition);
        EXCEPTION WHEN invalid_table_definition THEN
            EXECUTE format('DROP VIEW jira.%I', view_name);
            EXECUTE format('CREATE VIEW jira.%I AS %s', view_name, definition);
        END;
        EXECUTE format('COMMENT ON VIEW jira.%I IS %L', view_name,
                       'The issues of a site with its custom fields by name, one row per issue. Made anew when the site''s fields change. Issues that are gone are left out.');
        FOR place IN 1 .. cardinality(named) LOOP
            EXECUTE format('COMMENT ON COLUMN jira.%I.%I IS %L', view_name, named[place], meanings[place]);
        END LOOP;
        FOR place IN 1 .. cardinality(base) LOOP
            EXECUTE format('COMMENT ON COLUMN jira.%I.%I IS %L', view_name, base[place],
                           (SELECT col_description(a.attrelid, a.attnum) FROM pg_attribute a WHERE a.attrelid = 'jira.issue_flat'::regclass AND a.attname = base[place]));
        END LOOP;
        -- Who reads the others reads this one.
        FOR reader IN
            SELECT DISTINCT a.grantee::regrole AS role FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
             WHERE c.oid = 'jira.issue_flat'::regclass AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
        LOOP
            EXECUTE format('GRANT SELECT ON jira.%I TO %s', view_name, reader.role);
        END LOOP;
        INSERT INTO syncline.field_view AS v (site_id, name, definition) VALUES (site, view_name, definition)
        ON CONFLICT (site_id) DO UPDATE SET definition = excluded.definition, problem = NULL, updated_at = clock_timestamp();
    EXCEPTION WHEN OTHERS THEN
        -- The fields are written all the same.
        INSERT INTO syncline.field_view AS v (site_id, name, definition, problem) VALUES (site, view_name, '', left(SQLERRM, 1000))
        ON CONFLICT (site_id) DO UPDATE SET problem = excluded.problem;
    END;
    PERFORM set_config('lock_timeout', patience, true);
END $$;
REVOKE EXECUTE ON FUNCTION syncline.publish_fields(uuid) FROM PUBLIC;

-- The view goes with its site.
CREATE FUNCTION syncline.drop_field_view() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, syncline, pg_temp AS $$
BEGIN
    EXECUTE format('DROP VIEW IF EXISTS jira.%I', OLD.name);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL; -- Others are built upon it: it shows no rows from now on.
END $$;
REVOKE EXECUTE ON FUNCTION syncline.drop_field_view() FROM PUBLIC;
CREATE TRIGGER field_view_removed AFTER DELETE ON syncline.field_view FOR EACH ROW EXECUTE FUNCTION syncline.drop_field_view();

SELECT syncline.publish_fields(s.id) FROM syncline.site s;
