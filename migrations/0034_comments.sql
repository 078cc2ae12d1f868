-- oldest-program: 3
-- Every table of the replica and every column of it says what it holds: people who ask read nothing but the schema.


COMMENT ON COLUMN syncline.attachment.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.attachment.id IS 'Jira''s id of the file.';
COMMENT ON COLUMN syncline.attachment.issue_id IS 'Jira''s id of the issue: issue.id.';
COMMENT ON COLUMN syncline.attachment.file_name IS 'Its name.';
COMMENT ON COLUMN syncline.attachment.author_account_id IS 'Who attached it: jira_user.account_id.';
COMMENT ON COLUMN syncline.attachment.created_at IS 'When it was attached.';
COMMENT ON COLUMN syncline.attachment.size_bytes IS 'Its size.';
COMMENT ON COLUMN syncline.attachment.mime_type IS 'What kind of file it is.';

COMMENT ON TABLE syncline.board IS 'Boards of the projects.';
COMMENT ON COLUMN syncline.board.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.board.id IS 'Jira''s id of the board.';
COMMENT ON COLUMN syncline.board.name IS 'Its name.';
COMMENT ON COLUMN syncline.board.board_type IS 'scrum, kanban or simple.';
COMMENT ON COLUMN syncline.board.jira_project_id IS 'Jira''s id of the project that it belongs to: project.jira_id.';
COMMENT ON COLUMN syncline.board.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.board.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON COLUMN syncline.changelog.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.changelog.id IS 'Jira''s id of the entry; all fields of one change share it.';
COMMENT ON COLUMN syncline.changelog.item IS 'Which of the fields of that change, from 0.';
COMMENT ON COLUMN syncline.changelog.issue_id IS 'Jira''s id of the issue: issue.id.';
COMMENT ON COLUMN syncline.changelog.author_account_id IS 'Who did it: jira_user.account_id; null for Jira itself and for anonymous changes.';
COMMENT ON COLUMN syncline.changelog.created_at IS 'When it happened.';
COMMENT ON COLUMN syncline.changelog.field IS 'The name of the field.';
COMMENT ON COLUMN syncline.changelog.field_id IS 'Its id: field.id; null on Data Center, which does not tell it.';
COMMENT ON COLUMN syncline.changelog.field_type IS 'jira for Jira''s own fields, custom for others.';
COMMENT ON COLUMN syncline.changelog.from_value IS 'The value before, as Jira stores it: an id, or several.';
COMMENT ON COLUMN syncline.changelog.from_text IS 'The value before, as Jira shows it.';
COMMENT ON COLUMN syncline.changelog.to_value IS 'The value after, as Jira stores it.';
COMMENT ON COLUMN syncline.changelog.to_text IS 'The value after, as Jira shows it.';

COMMENT ON TABLE syncline.comment IS 'Comments of issues, as plain text.';
COMMENT ON COLUMN syncline.comment.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.comment.id IS 'Jira''s id of the comment.';
COMMENT ON COLUMN syncline.comment.issue_id IS 'Jira''s id of the issue: issue.id.';
COMMENT ON COLUMN syncline.comment.author_account_id IS 'Who made it: jira_user.account_id; null where Jira names nobody.';
COMMENT ON COLUMN syncline.comment.update_author_account_id IS 'Who changed it last: jira_user.account_id.';
COMMENT ON COLUMN syncline.comment.body IS 'What was said, as plain text.';
COMMENT ON COLUMN syncline.comment.created_at IS 'When it was written.';
COMMENT ON COLUMN syncline.comment.updated_at IS 'When Jira last changed it.';
COMMENT ON COLUMN syncline.comment.content_hash IS 'A sum over what Jira shows, by which a change is found.';

COMMENT ON TABLE syncline.component IS 'Components of the projects.';
COMMENT ON COLUMN syncline.component.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.component.id IS 'Jira''s id of the component.';
COMMENT ON COLUMN syncline.component.jira_project_id IS 'Jira''s id of the project that it belongs to: project.jira_id.';
COMMENT ON COLUMN syncline.component.name IS 'Its name.';
COMMENT ON COLUMN syncline.component.description IS 'What Jira says about it; null where that is nothing.';
COMMENT ON COLUMN syncline.component.lead_account_id IS 'Who looks after it: jira_user.account_id.';
COMMENT ON COLUMN syncline.component.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.component.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON COLUMN syncline.field.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.field.id IS 'Jira''s id of the field: a key of issue.fields, such as customfield_10010.';
COMMENT ON COLUMN syncline.field.name IS 'Its name now; several fields may share one.';
COMMENT ON COLUMN syncline.field.custom IS 'Whether somebody added it; false for Jira''s own.';
COMMENT ON COLUMN syncline.field.value_type IS 'What its values are: string, number, date, datetime, option, user, array, or what Jira calls it otherwise; null where Jira does not say.';
COMMENT ON COLUMN syncline.field.items IS 'Of an array: what its entries are.';
COMMENT ON COLUMN syncline.field.custom_kind IS 'Which kind of custom field it is, as Jira names the kind.';
COMMENT ON COLUMN syncline.field.system IS 'What Jira calls it itself; null for custom fields.';
COMMENT ON COLUMN syncline.field.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.field.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON COLUMN syncline.issue.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.issue.id IS 'Jira''s id of the issue, which a move to another project does not change.';
COMMENT ON COLUMN syncline.issue.project_id IS 'The project that it is in now: project.id.';
COMMENT ON COLUMN syncline.issue.key IS 'Its key, as it is now.';
COMMENT ON COLUMN syncline.issue.summary IS 'Its one-line title.';
COMMENT ON COLUMN syncline.issue.issue_type IS 'The name of its type, as the site''s list has it (issue_type_id is what stays).';
COMMENT ON COLUMN syncline.issue.priority IS 'The name of its priority, as the site''s list has it; null where it has none.';
COMMENT ON COLUMN syncline.issue.resolution IS 'How it was resolved; null while it is unresolved.';
COMMENT ON COLUMN syncline.issue.assignee_account_id IS 'Whose turn it is: jira_user.account_id; null where it is nobody''s.';
COMMENT ON COLUMN syncline.issue.reporter_account_id IS 'Who reported it: jira_user.account_id.';
COMMENT ON COLUMN syncline.issue.creator_account_id IS 'Who made it in Jira: jira_user.account_id.';
COMMENT ON COLUMN syncline.issue.parent_id IS 'Jira''s id of the issue that it belongs to: a story''s epic, a sub-task''s story.';
COMMENT ON COLUMN syncline.issue.labels IS 'Its labels.';
COMMENT ON COLUMN syncline.issue.story_points IS 'Its estimate in points: of the fields that hold estimates, the one in which it has a value.';
COMMENT ON COLUMN syncline.issue.created_at IS 'When it was made.';
COMMENT ON COLUMN syncline.issue.updated_at IS 'When Jira last changed it.';
COMMENT ON COLUMN syncline.issue.resolved_at IS 'When its resolution was set; null while it is unresolved.';
COMMENT ON COLUMN syncline.issue.due_date IS 'The day on which it is due.';
COMMENT ON COLUMN syncline.issue.content_hash IS 'A sum over what Jira shows, by which a change is found.';
COMMENT ON COLUMN syncline.issue.synced_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.issue.issue_type_id IS 'Jira''s id of its type: term.id of kind issue_type.';
COMMENT ON COLUMN syncline.issue.is_subtask IS 'Whether it is a part of another issue (parent_id).';
COMMENT ON COLUMN syncline.issue.status_id IS 'Jira''s id of its status: status.id.';
COMMENT ON COLUMN syncline.issue.priority_id IS 'Jira''s id of its priority: term.id of kind priority.';
COMMENT ON COLUMN syncline.issue.resolution_id IS 'Jira''s id of its resolution: term.id of kind resolution.';
COMMENT ON COLUMN syncline.issue.environment IS 'Where it was met, as plain text.';
COMMENT ON COLUMN syncline.issue.security_level IS 'The name of its security level; null where everyone who sees the project sees it.';
COMMENT ON COLUMN syncline.issue.status_category_changed_at IS 'Since when its status has this category; null where Jira does not tell it.';
COMMENT ON COLUMN syncline.issue.original_estimate_seconds IS 'As estimated at first, without sub-tasks, in seconds.';
COMMENT ON COLUMN syncline.issue.remaining_estimate_seconds IS 'What is estimated to be left, in seconds.';
COMMENT ON COLUMN syncline.issue.time_spent_seconds IS 'What was logged on the issue itself, in seconds.';
COMMENT ON COLUMN syncline.issue.component_ids IS 'The components that it is about: component.id.';
COMMENT ON COLUMN syncline.issue.fix_version_ids IS 'The versions in which it is, or will be, done: version.id.';
COMMENT ON COLUMN syncline.issue.affects_version_ids IS 'The versions that have the fault: version.id.';
COMMENT ON COLUMN syncline.issue.watchers IS 'How many watch it, as of its last change.';

COMMENT ON COLUMN syncline.issue_link.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.issue_link.issue_id IS 'The issue at this end: issue.id.';
COMMENT ON COLUMN syncline.issue_link.id IS 'Jira''s id of the link; both ends share it.';
COMMENT ON COLUMN syncline.issue_link.link_type IS 'The name of its type, such as Blocks.';
COMMENT ON COLUMN syncline.issue_link.relation IS 'How it reads from this end, such as "is blocked by".';
COMMENT ON COLUMN syncline.issue_link.direction IS 'outward or inward: at which end this issue is.';
COMMENT ON COLUMN syncline.issue_link.other_issue_id IS 'The issue at the other end: issue.id, where it is in the replica.';

COMMENT ON COLUMN syncline.jira_user.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.jira_user.account_id IS 'How Jira names the account: accountId on Cloud, the user key on Data Center.';
COMMENT ON COLUMN syncline.jira_user.display_name IS 'The name that Jira shows.';
COMMENT ON COLUMN syncline.jira_user.email IS 'The address; null where Jira hides it.';
COMMENT ON COLUMN syncline.jira_user.active IS 'Whether the account may be used.';
COMMENT ON COLUMN syncline.jira_user.time_zone IS 'Its time zone; null where Jira hides it.';
COMMENT ON COLUMN syncline.jira_user.account_type IS 'atlassian for people, app for programs, customer for those of service projects; null on Data Center.';
COMMENT ON COLUMN syncline.jira_user.updated_at IS 'When this row was last written.';

COMMENT ON COLUMN syncline.member.id IS 'What member_id is in the views.';
COMMENT ON COLUMN syncline.member.email IS 'The address by which accounts are found.';
COMMENT ON COLUMN syncline.member.name IS 'The name.';
COMMENT ON COLUMN syncline.member.team IS 'The team; null where none was given.';
COMMENT ON COLUMN syncline.member.active IS 'Whether the member is there.';
COMMENT ON COLUMN syncline.member.external_id IS 'What another system calls the member; null where none was given.';
COMMENT ON COLUMN syncline.member.created_at IS 'When the member was added.';
COMMENT ON COLUMN syncline.member.updated_at IS 'When this row was last written.';

COMMENT ON TABLE syncline.member_link IS 'Which Jira user is which member.';
COMMENT ON COLUMN syncline.member_link.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.member_link.account_id IS 'The account: jira_user.account_id.';
COMMENT ON COLUMN syncline.member_link.member_id IS 'The member: member.id.';
COMMENT ON COLUMN syncline.member_link.linked_at IS 'When they were linked.';
COMMENT ON COLUMN syncline.member_link.linked_by IS 'Who linked them.';

COMMENT ON TABLE syncline.sprint IS 'Sprints of the boards.';
COMMENT ON COLUMN syncline.sprint.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.sprint.id IS 'Jira''s id of the sprint.';
COMMENT ON COLUMN syncline.sprint.name IS 'Its name.';
COMMENT ON COLUMN syncline.sprint.board_id IS 'The board on which it was made: board.id.';
COMMENT ON COLUMN syncline.sprint.goal IS 'What it is for, in its team''s words; null where they said none.';
COMMENT ON COLUMN syncline.sprint.started_at IS 'When it began, or is planned to; null where neither is known.';
COMMENT ON COLUMN syncline.sprint.ends_at IS 'When it is planned to end.';
COMMENT ON COLUMN syncline.sprint.completed_at IS 'When it was closed; null before.';
COMMENT ON COLUMN syncline.sprint.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.sprint.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON TABLE syncline.status IS 'Statuses of each site, with their categories. What no list holds any more, and issues still show, is here as deleted.';
COMMENT ON COLUMN syncline.status.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.status.id IS 'Jira''s id of the status.';
COMMENT ON COLUMN syncline.status.name IS 'Its name now.';
COMMENT ON COLUMN syncline.status.description IS 'What Jira says about it; null where that is nothing.';
COMMENT ON COLUMN syncline.status.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.status.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON COLUMN syncline.term.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.term.kind IS 'issue_type, priority or resolution.';
COMMENT ON COLUMN syncline.term.id IS 'Jira''s id of it.';
COMMENT ON COLUMN syncline.term.name IS 'Its name now.';
COMMENT ON COLUMN syncline.term.description IS 'What Jira says about it; null where that is nothing.';
COMMENT ON COLUMN syncline.term.is_subtask IS 'Of an issue type: whether it is one of sub-tasks.';
COMMENT ON COLUMN syncline.term.position IS 'Where it stands in its list, from 0: of priorities, the highest first.';
COMMENT ON COLUMN syncline.term.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.term.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON TABLE syncline.version IS 'Versions of the projects.';
COMMENT ON COLUMN syncline.version.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.version.id IS 'Jira''s id of the version.';
COMMENT ON COLUMN syncline.version.jira_project_id IS 'Jira''s id of the project that it belongs to: project.jira_id.';
COMMENT ON COLUMN syncline.version.name IS 'Its name.';
COMMENT ON COLUMN syncline.version.description IS 'What Jira says about it; null where that is nothing.';
COMMENT ON COLUMN syncline.version.archived IS 'Whether it is put away.';
COMMENT ON COLUMN syncline.version.released IS 'Whether it is out.';
COMMENT ON COLUMN syncline.version.start_date IS 'The day on which work on it begins.';
COMMENT ON COLUMN syncline.version.release_date IS 'The day on which it is, or is to be, out.';
COMMENT ON COLUMN syncline.version.updated_at IS 'When this row was last written.';
COMMENT ON COLUMN syncline.version.deleted_at IS 'When a list of Jira was first without it; null while it is there.';

COMMENT ON TABLE syncline.worklog IS 'Work that was logged on issues.';
COMMENT ON COLUMN syncline.worklog.site_id IS 'The site that it is on: site.id.';
COMMENT ON COLUMN syncline.worklog.id IS 'Jira''s id of the worklog.';
COMMENT ON COLUMN syncline.worklog.issue_id IS 'Jira''s id of the issue: issue.id.';
COMMENT ON COLUMN syncline.worklog.author_account_id IS 'Who did the work: jira_user.account_id.';
COMMENT ON COLUMN syncline.worklog.update_author_account_id IS 'Who changed it last: jira_user.account_id.';
COMMENT ON COLUMN syncline.worklog.comment IS 'What the author wrote about it, as plain text; null where that is nothing.';
COMMENT ON COLUMN syncline.worklog.started_at IS 'When the work began, as its author said.';
COMMENT ON COLUMN syncline.worklog.time_spent_seconds IS 'How long it took, in seconds.';
COMMENT ON COLUMN syncline.worklog.created_at IS 'When it was logged.';
COMMENT ON COLUMN syncline.worklog.updated_at IS 'When Jira last changed it.';
COMMENT ON COLUMN syncline.worklog.content_hash IS 'A sum over what Jira shows, by which a change is found.';

-- The columns that views show as they are say the same.
SELECT syncline.publish_replica();
