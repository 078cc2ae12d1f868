//! The grammar: conditions joined by AND, OR, NOT and parentheses, then ORDER BY.

use super::Error;
use super::lexer::{Token, tokens};

/// A query as written; names are not resolved yet.
#[derive(Debug, PartialEq)]
pub(in crate::simulator) struct Parsed {
    /// `None` when there is no condition at all.
    pub(super) condition: Option<Expr>,
    /// Field and whether descending.
    pub(super) order: Vec<(String, Option<bool>)>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Clause(Clause),
}

/// `field operator value(s)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause {
    pub(super) field: String,
    pub(super) operator: Operator,
    pub(super) values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    In,
    NotIn,
    Is,
    IsNot,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Word(String),
    Quoted(String),
    Empty,
    /// A function without arguments, by name in lower case.
    Function(String),
}

impl Value {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Function(text) => text,
            Self::Empty => "EMPTY",
        }
    }
}

/// Conditions may nest this deep; deeper ones are refused before they can exhaust the stack.
const MAX_DEPTH: usize = 50;

/// Reads a query.
pub(in crate::simulator) fn parse(text: &str) -> Result<Parsed, Error> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let condition = if parser.finished() || parser.word_is("order") { None } else { Some(parser.any()?) };
    let order = if parser.take_word("order") { parser.order()? } else { Vec::new() };
    match parser.finished() {
        true => Ok(Parsed { condition, order }),
        false => Err(parser.expected("either 'OR' or 'AND'")),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn finished(&self) -> bool {
        self.at == self.tokens.len()
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn word_is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.word_is(word);
        self.at += usize::from(found);
        found
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> Error {
        Error(match self.tokens.get(self.at) {
            None => format!("Error in the JQL Query: Expecting {what} before the end of the query."),
            Some((token, at)) => {
                let found = match token {
                    Token::Word(text) | Token::Quoted(text) => text,
                    Token::Sign(sign) => *sign,
                    Token::Open => "(",
                    Token::Close => ")",
                    Token::Comma => ",",
                };
                format!("Error in the JQL Query: Expecting {what} but got '{found}'. (line 1, character {at})")
            }
        })
    }

    fn any(&mut self) -> Result<Expr, Error> {
        self.joined("or", Self::all, Expr::Or)
    }

    fn all(&mut self) -> Result<Expr, Error> {
        self.joined("and", Self::single, Expr::And)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expr, Error>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr, Error> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take_word(word) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() > 1 { join(parts) } else { parts.swap_remove(0) })
    }

    fn single(&mut self) -> Result<Expr, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error("The JQL query is too complex.".to_owned()));
        }
        let expr = if self.take_word("not") {
            Expr::Not(Box::new(self.single()?))
        } else if self.take(&Token::Open) {
            let inner = self.any()?;
            if !self.take(&Token::Close) {
                return Err(self.expected("')'"));
            }
            inner
        } else {
            Expr::Clause(self.clause()?)
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn clause(&mut self) -> Result<Clause, Error> {
        let Some(Token::Word(_) | Token::Quoted(_)) = self.peek() else {
            return Err(self.expected("a field name"));
        };
        let Some(Token::Word(field) | Token::Quoted(field)) = self.next() else {
            return Err(self.expected("a field name"));
        };
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.value()?],
        };
        Ok(Clause { field: field.to_lowercase(), operator, values })
    }

    fn operator(&mut self) -> Result<Operator, Error> {
        if self.take_word("in") {
            return Ok(Operator::In);
        }
        if self.take_word("not") {
            return if self.take_word("in") { Ok(Operator::NotIn) } else { Err(self.expected("'IN'")) };
        }
        if self.take_word("is") {
            return Ok(if self.take_word("not") { Operator::IsNot } else { Operator::Is });
        }
        let operator = match self.peek() {
            Some(Token::Sign("=")) => Operator::Equal,
            Some(Token::Sign("!=")) => Operator::NotEqual,
            Some(Token::Sign(">")) => Operator::Greater,
            Some(Token::Sign(">=")) => Operator::GreaterEqual,
            Some(Token::Sign("<")) => Operator::Less,
            Some(Token::Sign("<=")) => Operator::LessEqual,
            _ => return Err(self.expected("operator")),
        };
        self.at += 1;
        Ok(operator)
    }

    fn list(&mut self) -> Result<Vec<Value>, Error> {
        if !self.take(&Token::Open) {
            return Err(self.expected("'('"));
        }
        let mut values = vec![self.value()?];
        while self.take(&Token::Comma) {
            values.push(self.value()?);
        }
        if self.take(&Token::Close) { Ok(values) } else { Err(self.expected("either ')' or ','")) }
    }

    fn value(&mut self) -> Result<Value, Error> {
        if !matches!(self.peek(), Some(Token::Word(_) | Token::Quoted(_))) {
            return Err(self.expected("a value, list or function"));
        }
        match self.next() {
            Some(Token::Quoted(text)) => Ok(Value::Quoted(text)),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("empty") || word.eq_ignore_ascii_case("null") => {
                Ok(Value::Empty)
            }
            Some(Token::Word(word)) if self.take(&Token::Open) => match self.take(&Token::Close) {
                true => Ok(Value::Function(word.to_lowercase())),
                false => Err(self.expected("')'")),
            },
            Some(Token::Word(word)) => Ok(Value::Word(word)),
            _ => Err(self.expected("a value, list or function")),
        }
    }

    fn order(&mut self) -> Result<Vec<(String, Option<bool>)>, Error> {
        if !self.take_word("by") {
            return Err(self.expected("'BY'"));
        }
        let mut order = Vec::new();
        loop {
            let Some(Token::Word(_) | Token::Quoted(_)) = self.peek() else {
                return Err(self.expected("a field name"));
            };
            let Some(Token::Word(field) | Token::Quoted(field)) = self.next() else { break };
            let direction = match (self.take_word("asc"), self.take_word("desc")) {
                (true, _) => Some(false),
                (_, true) => Some(true),
                _ => None,
            };
            order.push((field.to_lowercase(), direction));
            if !self.take(&Token::Comma) {
                break;
            }
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(field: &str, operator: Operator, values: &[Value]) -> Expr {
        Expr::Clause(Clause { field: field.into(), operator, values: values.to_vec() })
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let word = |text: &str| [Value::Word(text.to_owned())];
        let a = || clause("project", Operator::Equal, &word("A"));
        let b = || clause("updated", Operator::GreaterEqual, &word("-15m"));
        let c = || clause("assignee", Operator::In, &[Value::Function("currentuser".into()), Value::Empty]);
        let parsed =
            parse("project=A and updated >= -15m OR NOT Assignee in (currentUser(), EMPTY) order by updated, key DESC")
                .unwrap();
        let expected = Expr::Or(vec![Expr::And(vec![a(), b()]), Expr::Not(Box::new(c()))]);
        assert_eq!(parsed.condition, Some(expected));
        assert_eq!(parsed.order, [("updated".to_owned(), None), ("key".to_owned(), Some(true))]);
    }

    #[test]
    fn quotes_keep_what_would_be_syntax() {
        let parsed = parse(r#"project = "A \"B\" (C)" AND updated < '2024-01-01 10:00'"#).unwrap();
        let quoted = |text: &str| [Value::Quoted(text.to_owned())];
        let expected = vec![
            clause("project", Operator::Equal, &quoted("A \"B\" (C)")),
            clause("updated", Operator::Less, &quoted("2024-01-01 10:00")),
        ];
        assert_eq!(parsed.condition, Some(Expr::And(expected)));
    }

    #[test]
    fn broken_queries_are_refused_with_a_position() {
        for (text, part) in [
            ("project", "Expecting operator before the end"),
            ("project = ", "Expecting a value"),
            ("project = A B", "but got 'B'. (line 1, character 13)"),
            ("(project = A", "Expecting ')'"),
            ("project = \"A", "has not been completed"),
            ("project in A", "Expecting '('"),
            ("project = A ORDER updated", "Expecting 'BY'"),
            ("project ! A", "reserved"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_instead_of_exhausting_the_stack() {
        let text = format!("{}project = A{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(parse(&text).is_err());
        assert!(parse(&format!("{} project = A", "NOT ".repeat(100_000))).is_err());
    }

    #[test]
    fn no_condition_is_a_query_too() {
        assert_eq!(parse("").unwrap().condition, None);
        assert_eq!(parse("ORDER BY updated").unwrap().condition, None);
    }
}
