//! A service on a port of this machine, that answers as a function says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and path with its query, e.g. `GET /a?b=c`.
    pub(crate) line: String,
    /// The body, or null.
    pub(crate) body: serde_json::Value,
    /// The value of `Authorization`.
    pub(crate) authorization: Option<String>,
}

/// Status and body; `None`: the connection is closed without an answer.
pub(crate) type Answer = Option<(u16, String)>;

/// The service.
pub(crate) struct Service {
    /// `http://127.0.0.1:port`.
    pub(crate) address: String,
    /// Everything that was asked, in order.
    pub(crate) asked: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    /// Listens, until the process ends.
    pub(crate) fn new(answer: impl Fn(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &answer, &notes);
            }
        });
        Service { address, asked }
    }

    /// How often a request began so.
    pub(crate) fn count(&self, begin: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        let begins = asked.iter().filter(|one| one.line.starts_with(begin));
        begins.count()
    }
}

/// One request of one connection (RFC 9112).
fn serve(stream: TcpStream, answer: &impl Fn(&Request) -> Answer, notes: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() || first.is_empty() {
        return;
    }
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut words = first.split(' ');
    let line = format!("{} {}", words.next().unwrap(), words.next().unwrap());
    let request = Request {
        line,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        authorization,
    };
    notes.lock().unwrap().push(request.clone());
    if let Some((status, body)) = answer(&request) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = reader.get_mut().write_all((head + &body).as_bytes());
    }
}
