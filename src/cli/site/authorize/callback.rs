//! Where the browser comes back: a loopback port that answers once.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::super::super::Error;

/// No browser's first line is longer.
const LONGEST_REQUEST: usize = 16 * 1024;
const THANKS: &str = "Syncline has received the answer. You can close this page.";
const OTHER: &str = "Syncline is waiting for the redirect from the consent page.";

/// A port that is listened at.
pub(super) struct Callback {
    /// Its number.
    pub port: u16,
    listener: TcpListener,
}

/// Takes the port, on this machine alone; 0: any.
pub(super) async fn bind(port: u16) -> Result<Callback, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|problem| {
        Error::failure(format!("cannot listen on port {port}: {problem}"))
            .help("choose another one with --port (and in the app's callback URL), or use --paste")
    })?;
    let port = listener.local_addr()?.port();
    Ok(Callback { port, listener })
}

impl Callback {
    /// The address that the browser was sent to.
    pub(super) async fn answer(self) -> Result<Url, Error> {
        loop {
            let (mut stream, _) = self.listener.accept().await?;
            let Some(target) = target(&mut stream).await else { continue };
            let address = Url::parse(&format!("http://localhost:{}{target}", self.port)).ok();
            // Browsers ask for icons too.
            let answer = address.filter(|address| address.path() == "/callback");
            let text = if answer.is_some() { THANKS } else { OTHER };
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.shutdown().await;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }
}

/// What a request asks for, from its first line.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut buffer = [0u8; 1024];
    while !read.contains(&b'\n') && read.len() < LONGEST_REQUEST {
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => read.extend_from_slice(&buffer[..n]),
            _ => return None,
        }
    }
    let line = String::from_utf8_lossy(&read);
    let mut words = line.lines().next()?.split(' ');
    (words.next()? == "GET").then_some(())?;
    words.next().filter(|target| target.starts_with('/')).map(str::to_owned)
}

/// The code in an answer to the question `state`.
pub(super) fn code(answer: &Url, state: &str) -> Result<String, Error> {
    let value = |name: &str| answer.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if value("state").as_deref() != Some(state) {
        return Err(Error::failure("the answer does not belong to this request: its state is missing or different")
            .help("start again, and use the new address"));
    }
    if let Some(refusal) = value("error") {
        let text: String = value("error_description").unwrap_or(refusal).chars().take(200).collect();
        return Err(Error::failure(format!("consent was refused: {}", crate::domain::failure::sanitise(&text)))
            .help("ask a person who may read the site to consent, or check the app's scopes and callback URL"));
    }
    value("code").filter(|code| !code.is_empty()).ok_or_else(|| {
        Error::failure("the answer contains no code").help("start again with --paste, and paste the whole address")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<String, Error> {
        code(&Url::parse(&format!("http://localhost:1/callback?{query}")).unwrap(), "s1")
    }

    #[test]
    fn only_an_answer_to_our_own_question_is_taken() {
        assert_eq!(parsed("code=abc&state=s1").unwrap(), "abc");
        for (query, word) in [
            ("code=abc", "state"),
            ("code=abc&state=s2", "state"),
            ("state=s1", "no code"),
            ("state=s1&code=", "no code"),
            ("state=s1&error=access_denied&error_description=User+did+not+consent", "User did not consent"),
        ] {
            assert!(parsed(query).unwrap_err().message.contains(word), "{query}");
        }
    }

    #[tokio::test]
    async fn icons_are_not_taken_for_the_answer() {
        let callback = bind(0).await.unwrap();
        let port = callback.port;
        let answer = tokio::spawn(callback.answer());
        for path in ["/favicon.ico", "/callback?code=x&state=y"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        }
        assert_eq!(answer.await.unwrap().unwrap().query(), Some("code=x&state=y"));
    }
}
