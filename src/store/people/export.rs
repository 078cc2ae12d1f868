//! What is stored about a person, as one document.

use serde_json::Value;
use sqlx::PgPool;

use super::forget::Account;
use crate::store::Result;

/// Everything that names the account, by table. Times are UTC.
pub async fn export(pool: &PgPool, account: &Account) -> Result<Value> {
    let document = sqlx::query_scalar!(
        r#"
        WITH own AS (SELECT $1::uuid AS site_id, $2::text AS account_id)
        SELECT jsonb_build_object(
            'site', (SELECT s.name FROM syncline.site s WHERE s.id = own.site_id),
            'account_id', own.account_id,
            'user', (SELECT to_jsonb(u) - 'site_id' FROM syncline.jira_user u WHERE u.site_id = own.site_id AND u.account_id = own.account_id),
            'member', (SELECT to_jsonb(m) || jsonb_build_object('matched_by', l.matched_by, 'linked_at', l.linked_at)
                         FROM syncline.member_link l JOIN syncline.member m ON m.id = l.member_id
                        WHERE l.site_id = own.site_id AND l.account_id = own.account_id),
            'tracked_in', (SELECT coalesce(jsonb_agg(jsonb_build_object('project', p.key, 'added_at', t.added_at) ORDER BY p.key), '[]')
                             FROM syncline.tracked_user t JOIN syncline.project p ON p.id = t.project_id
                            WHERE p.site_id = own.site_id AND t.account_id = own.account_id),
            'leads_projects', (SELECT coalesce(jsonb_agg(p.key ORDER BY p.key), '[]') FROM syncline.project p
                                WHERE p.site_id = own.site_id AND p.lead_account_id = own.account_id),
            'leads_components', (SELECT coalesce(jsonb_agg(c.name ORDER BY c.id), '[]') FROM syncline.component c
                                  WHERE c.site_id = own.site_id AND c.lead_account_id = own.account_id),
            'issues', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                  'key', i.key, 'summary', i.summary,
                                  'assignee', i.assignee_account_id IS NOT DISTINCT FROM own.account_id,
                                  'reporter', i.reporter_account_id IS NOT DISTINCT FROM own.account_id,
                                  'creator', i.creator_account_id IS NOT DISTINCT FROM own.account_id,
                                  'fields', (SELECT coalesce(jsonb_agg(f.key ORDER BY f.key), '[]') FROM jsonb_each(i.fields) f
                                              WHERE strpos(f.value::text, own.account_id) > 0)) ORDER BY i.id), '[]')
                         FROM syncline.issue i
                        WHERE i.site_id = own.site_id
                          AND (own.account_id IN (i.assignee_account_id, i.reporter_account_id, i.creator_account_id)
                               OR strpos(i.fields::text, own.account_id) > 0)),
            'comments', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'issue_id', c.issue_id, 'created_at', c.created_at,
                                                                      'updated_at', c.updated_at, 'body', c.body) ORDER BY c.id), '[]')
                           FROM syncline.comment c
                          WHERE c.site_id = own.site_id AND own.account_id IN (c.author_account_id, c.update_author_account_id)),
            'worklogs', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'issue_id', w.issue_id, 'started_at', w.started_at,
                                                                      'time_spent_seconds', w.time_spent_seconds, 'comment', w.comment) ORDER BY w.id), '[]')
                           FROM syncline.worklog w
                          WHERE w.site_id = own.site_id AND own.account_id IN (w.author_account_id, w.update_author_account_id)),
            'changes', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', h.id, 'issue_id', h.issue_id, 'created_at', h.created_at, 'field', h.field,
                                                                     'author', h.author_account_id IS NOT DISTINCT FROM own.account_id,
                                                                     'from', h.from_text, 'to', h.to_text) ORDER BY h.id, h.item), '[]')
                          FROM syncline.changelog h
                         WHERE h.site_id = own.site_id AND own.account_id IN (h.author_account_id, h.from_value, h.to_value)),
            'attachments', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'issue_id', a.issue_id, 'file_name', a.file_name,
                                                                         'created_at', a.created_at) ORDER BY a.id), '[]')
                              FROM syncline.attachment a WHERE a.site_id = own.site_id AND a.author_account_id = own.account_id),
            'mentioned_in', (SELECT coalesce(jsonb_agg(t.place), '[]') FROM (
                                 SELECT 'issue ' || i.key AS place FROM syncline.issue i
                                  WHERE i.site_id = own.site_id AND cardinality($3::text[]) > 0
                                    AND EXISTS (SELECT 1 FROM unnest($3) w WHERE strpos(lower(concat_ws(' ', i.summary, i.description, i.environment)), w) > 0)
                                 UNION ALL
                                 SELECT 'comment ' || c.id FROM syncline.comment c
                                  WHERE c.site_id = own.site_id AND EXISTS (SELECT 1 FROM unnest($3) w WHERE strpos(lower(c.body), w) > 0)
                                 UNION ALL
                                 SELECT 'worklog ' || l.id FROM syncline.worklog l
                                  WHERE l.site_id = own.site_id AND EXISTS (SELECT 1 FROM unnest($3) w WHERE strpos(lower(l.comment), w) > 0)) t)
        ) AS "document!"
          FROM own
        "#,
        account.site_id,
        account.account_id,
        &words(account)
    )
    .fetch_one(pool)
    .await?;
    Ok(document)
}

/// What texts would call the person, in small letters.
fn words(account: &Account) -> Vec<String> {
    let name = Some(&account.display_name).filter(|_| account.forgotten_at.is_none());
    let username = account.username.as_ref().map(|name| format!("[~{}]", name.to_lowercase()));
    let emails = [&account.email, &account.member_email].into_iter().flatten().map(|email| email.to_lowercase());
    name.map(|name| name.to_lowercase()).into_iter().chain(emails).chain(username).collect()
}
