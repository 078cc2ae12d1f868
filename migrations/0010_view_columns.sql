-- oldest-program: 3
-- Every column of every view says what it holds: the people who ask read nothing but the schema. What migration 0006 left out
-- because it seemed plain is said here.

-- ---------------------------------------------------------------------------------------------------- what all views share

DO $$
DECLARE
    shared record;
BEGIN
    FOR shared IN
        SELECT c.relname, t.name, t.meaning
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
          JOIN (VALUES
                ('project_id', 'The project that the issue is in now: syncline.project.id.'),
                ('project_key', 'That project''s key, as it is now.'),
                ('site_id', 'The site that it is on: syncline.site.id.'),
                ('issue_id', 'Jira''s id of the issue, which a move to another project does not change.'),
                ('issue_key', 'The issue''s key, as it is now.')
               ) AS t (name, meaning) ON t.name = a.attname
         WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind = 'v' AND col_description(c.oid, a.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN syncline.%I.%I IS %L', shared.relname, shared.name, shared.meaning);
    END LOOP;
END
$$;

-- ---------------------------------------------------------------------------------------------------- status and times

COMMENT ON COLUMN syncline.issue_time_in_status.status_id IS 'Jira''s id of the status; null where the history does not tell it.';
COMMENT ON COLUMN syncline.issue_time_in_status.status IS 'Its name at the time; a status that was renamed has a row for each name.';
COMMENT ON COLUMN syncline.issue_time_in_status.category IS 'Its category as the status has it now: new, indeterminate, done, or undefined.';
COMMENT ON COLUMN syncline.issue_cycle_time.created_at IS 'When the issue was created: lead time counts from here.';
COMMENT ON COLUMN syncline.issue_cycle_time.resolved_at IS 'When its resolution was set; null while it is unresolved.';

-- ---------------------------------------------------------------------------------------------------- sprints

COMMENT ON COLUMN syncline.issue_current_sprint.sprint_id IS 'Jira''s id of the sprint.';
COMMENT ON COLUMN syncline.issue_current_sprint.sprint_name IS 'Its name now.';
COMMENT ON COLUMN syncline.issue_current_sprint.sprint_state IS 'active or future.';
COMMENT ON COLUMN syncline.issue_current_sprint.goal IS 'What the sprint is for, in its team''s words; null where they said none.';
COMMENT ON COLUMN syncline.issue_current_sprint.started_at IS 'When it began, or is planned to; null where neither is known.';
COMMENT ON COLUMN syncline.issue_current_sprint.ends_at IS 'When it is planned to end.';

-- ---------------------------------------------------------------------------------------------------- people

COMMENT ON COLUMN syncline.worklog_by_member.worklog_id IS 'Jira''s id of the worklog.';
COMMENT ON COLUMN syncline.worklog_by_member.author_account_id IS 'Whose account it was logged with: accountId on Cloud, the user key on Data Center.';
COMMENT ON COLUMN syncline.worklog_by_member.member_name IS 'That member''s name; null where the account is linked to nobody.';
COMMENT ON COLUMN syncline.worklog_by_member.started_at IS 'When the work began, as its author said.';
COMMENT ON COLUMN syncline.worklog_by_member.time_spent_seconds IS 'How long it took, in seconds.';
COMMENT ON COLUMN syncline.worklog_by_member.comment IS 'What the author wrote about it, as plain text; null where there is nothing.';

-- ---------------------------------------------------------------------------------------------------- all in one

COMMENT ON COLUMN syncline.issue_flat.project_name IS 'The project''s name, as it was at its last run.';
COMMENT ON COLUMN syncline.issue_flat.summary IS 'The issue''s one-line title.';
COMMENT ON COLUMN syncline.issue_flat.issue_type IS 'The name of its type, such as Story or Bug, in the language of the account that reads.';
COMMENT ON COLUMN syncline.issue_flat.is_subtask IS 'Whether it is a part of another issue (parent_id).';
COMMENT ON COLUMN syncline.issue_flat.status IS 'The name of its status.';
COMMENT ON COLUMN syncline.issue_flat.status_category IS 'new, indeterminate, done or undefined: what a status means, in whatever language its name is.';
COMMENT ON COLUMN syncline.issue_flat.priority IS 'The name of its priority; null where it has none.';
COMMENT ON COLUMN syncline.issue_flat.resolution IS 'How it was resolved; null while it is unresolved.';
COMMENT ON COLUMN syncline.issue_flat.labels IS 'Its labels.';
COMMENT ON COLUMN syncline.issue_flat.story_points IS 'Its estimate in points, from the field that is found by its type, by its name, or named for the site (site update --story-points-field).';
COMMENT ON COLUMN syncline.issue_flat.parent_id IS 'Jira''s id of the issue that it belongs to: a story''s epic, a sub-task''s story.';
COMMENT ON COLUMN syncline.issue_flat.parent_key IS 'That issue''s key, as it was when this one was read.';
COMMENT ON COLUMN syncline.issue_flat.due_date IS 'The day on which it is due.';
COMMENT ON COLUMN syncline.issue_flat.created_at IS 'When it was created.';
COMMENT ON COLUMN syncline.issue_flat.updated_at IS 'When it was last changed in Jira.';
COMMENT ON COLUMN syncline.issue_flat.resolved_at IS 'When its resolution was set; null while it is unresolved.';
COMMENT ON COLUMN syncline.issue_flat.assignee_account_id IS 'Whose turn it is: accountId on Cloud, the user key on Data Center; null where it is nobody''s.';
COMMENT ON COLUMN syncline.issue_flat.assignee_team IS 'The assignee''s team, where the account is linked to a member.';
COMMENT ON COLUMN syncline.issue_flat.reporter_account_id IS 'Who reported it, in the same way.';
COMMENT ON COLUMN syncline.issue_flat.reporter_member_id IS 'Null where the account is linked to nobody.';
COMMENT ON COLUMN syncline.issue_flat.sprint_id IS 'Jira''s id of the sprint that it is in now; see issue_current_sprint.';
COMMENT ON COLUMN syncline.issue_flat.sprint_state IS 'active or future; null where it is in no such sprint.';
COMMENT ON COLUMN syncline.issue_flat.fix_versions IS 'The names of the versions in which it is, or will be, done.';
COMMENT ON COLUMN syncline.issue_flat.components IS 'The names of the parts of the project that it is about.';
