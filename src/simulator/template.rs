//! Which endpoint a path is of.

/// The endpoint of a path, for counting and for limits: a closed set, whatever clients send.
pub(super) fn template(path: &str) -> &'static str {
    let after = |prefix: &str| path.find(prefix).map(|at| &path[at + prefix.len()..]);
    if let Some(rest) = after("/rest/agile/1.0/") {
        return match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["board"] => "/board",
            ["board", _] => "/board/{}",
            ["board", _, "sprint"] => "/board/{}/sprint",
            ["sprint", _] => "/sprint/{}",
            _ => "other",
        };
    }
    if after("/rest/pat/latest/") == Some("tokens") {
        return "/tokens";
    }
    let rest = ["/rest/api/3/", "/rest/api/2/", "/rest/api/latest/"].into_iter().find_map(after).unwrap_or_default();
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["myself"] => "/myself",
        ["mypermissions"] => "/mypermissions",
        ["serverInfo"] => "/serverInfo",
        ["search", "jql"] => "/search/jql",
        ["search", "approximate-count"] => "/search/approximate-count",
        ["search"] => "/search",
        ["issue", "bulkfetch"] => "/issue/bulkfetch",
        ["issue", _] => "/issue/{}",
        ["issue", _, "comment"] => "/issue/{}/comment",
        ["issue", _, "transitions"] => "/issue/{}/transitions",
        ["issue", _, "worklog"] => "/issue/{}/worklog",
        ["issue", _, "changelog"] => "/issue/{}/changelog",
        ["changelog", "bulkfetch"] => "/changelog/bulkfetch",
        ["worklog", "updated"] => "/worklog/updated",
        ["worklog", "deleted"] => "/worklog/deleted",
        ["worklog", "list"] => "/worklog/list",
        ["project"] => "/project",
        ["project", "search"] => "/project/search",
        ["project", _] => "/project/{}",
        ["project", _, "versions" | "version"] => "/project/{}/versions",
        ["project", _, "components" | "component"] => "/project/{}/components",
        ["project", _, "issuesecuritylevelscheme"] => "/project/{}/issuesecuritylevelscheme",
        ["project", _, "securitylevel"] => "/project/{}/securitylevel",
        ["field"] => "/field",
        ["status"] => "/status",
        ["priority"] => "/priority",
        ["issuetype"] => "/issuetype",
        ["resolution"] => "/resolution",
        ["users", "search"] => "/users/search",
        ["user", "search"] => "/user/search",
        _ => "other",
    }
}
