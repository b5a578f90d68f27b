//! Data in an S3 server on this machine (moto), behind connections that break; and on web servers.
//!
//! `POLYSCENE_TEST_MOTO_PYTHON` is a Python that has `moto[server]`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::place::{Outcome, Place};

const PYTHON: &str = "POLYSCENE_TEST_MOTO_PYTHON";

/// An S3 server that keeps all in memory.
struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    fn start() -> Moto {
        let python = std::env::var(PYTHON).unwrap_or_else(|_| {
            panic!("set {PYTHON} to a Python with moto: python3 -m venv moto && moto/bin/pip install 'moto[server]'")
        });
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{PYTHON}={python}: {error}"));
        let mut moto = Moto { process, port };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = moto.process.try_wait().unwrap() {
                panic!("moto ended ({status}); does `{python} -m moto.server` work?");
            }
            assert!(Instant::now() < end, "moto does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    fn put(&self, path: &str, content: &[u8]) {
        put(self.port, path, content);
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts an object at `/bucket/key`, or makes a bucket.
fn put(port: u16, path: &str, content: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = content.len();
    // Without any signature nothing can be replaced.
    let head = format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: AWS key:signature\r\n");
    let head = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(content).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
}

/// What is done to the bodies of objects on their way.
enum Trouble {
    /// The next so many are cut after so many bytes.
    Cut { times: usize, after: usize },
    /// The next so many are cut after so many bytes, and meanwhile the object is replaced.
    Replace { path: String, content: Vec<u8>, after: usize },
    /// The next so many requests, of whatever kind, get this answer.
    Answer { times: usize, answer: &'static str },
}

#[derive(Default)]
struct Seen {
    trouble: Option<Trouble>,
    /// The first lines of requests.
    requests: Vec<String>,
    cut: usize,
}

/// Stands between the program and a server.
struct Proxy {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Proxy {
    fn before(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        // Ends with the test's process; connections of one test never meet another's.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                thread::spawn(move || relay(client, server, &seen));
            }
        });
        Proxy { port, seen }
    }

    fn set(&self, trouble: Trouble) {
        self.seen.lock().unwrap().trouble = Some(trouble);
    }

    /// How many bodies of objects were asked for, and how many were cut, since the last time.
    fn bodies(&self) -> (usize, usize) {
        let mut seen = self.seen.lock().unwrap();
        let is_body = |line: &&String| line.starts_with("GET ") && !line.contains("list-type=");
        let counts = (seen.requests.iter().filter(is_body).count(), seen.cut);
        (seen.requests, seen.cut) = (Vec::new(), 0);
        counts
    }
}

/// The first line and the whole head of a request or answer.
fn head(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        reader.read_line(&mut head).ok().filter(|n| *n > 0)?;
        if head[before..].trim_end().is_empty() {
            return Some((head.lines().next()?.to_owned(), head));
        }
    }
}

/// Answers one request with what the server says, but for the trouble.
fn relay(mut client: TcpStream, server: u16, seen: &Mutex<Seen>) -> Option<()> {
    let (line, request) = head(&mut BufReader::new(client.try_clone().ok()?))?;
    let is_body = line.starts_with("GET ") && !line.contains("list-type=");
    let refusal = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(line);
        match &mut seen.trouble {
            Some(Trouble::Answer { times, answer }) if *times > 0 => {
                *times -= 1;
                Some(*answer)
            }
            _ => None,
        }
    };
    if let Some(answer) = refusal {
        let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(head.as_bytes()).ok();
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", server)).ok()?;
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    upstream.write_all(request.as_bytes()).ok()?;
    let mut upstream = BufReader::new(upstream);
    let (_, answer) = head(&mut upstream)?;
    let mut body = Vec::new();
    upstream.read_to_end(&mut body).ok()?;
    let answer: String =
        answer.split_inclusive("\r\n").filter(|line| !line.to_lowercase().starts_with("connection:")).collect();
    client.write_all(answer.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).ok()?;
    let mut sent = body.len();
    if is_body {
        let mut seen = seen.lock().unwrap();
        match &mut seen.trouble {
            Some(Trouble::Cut { times, after }) if *times > 0 && *after < sent => {
                *times -= 1;
                sent = *after;
            }
            Some(Trouble::Replace { path, content, after }) if *after < sent => {
                put(server, path, content);
                sent = *after;
                seen.trouble = None;
            }
            _ => {}
        }
        seen.cut += usize::from(sent < body.len());
    }
    client.write_all(&body[..sent]).ok()?;
    client.shutdown(Shutdown::Both).ok()
}

/// Rows of an hour, with a column that nobody reads and that makes them long.
fn rows(first: usize, count: usize, filler: usize) -> String {
    let mut text = "page,user,item,label,note\n".to_owned();
    for row in first..first + count {
        let mix = |salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 9) % count;
        let (page, user, item) = (mix(0, 3), mix(1, 12), mix(2, 20));
        let label = u8::from((user * 7 + item * 3 + page) % 5 < 2);
        text += &format!("p{page},{user},{item},{label},{}\n", "x".repeat(filler));
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const CONFIG: &str = "[data]\npath = \"log\"\nlabel = \"label\"\nscenario = \"page\"\naware = [\"page\"]\n\
                      agnostic = [\"user\", \"item\", \"day\"]\n";

/// The same files on the disk, in `data/`, and in the bucket `logs`.
struct Twins {
    place: Place,
    moto: Moto,
    proxy: Proxy,
}

impl Twins {
    fn new(config: &str) -> Twins {
        let moto = Moto::start();
        let proxy = Proxy::before(moto.port);
        moto.put("/logs", b"");
        let place = Place::empty();
        place.write("data/config.toml", config);
        Twins { place, moto, proxy }
    }

    fn write(&self, name: &str, content: &[u8]) {
        self.place.write(format!("data/{name}"), content);
        self.moto.put(&format!("/logs/{name}"), content);
    }

    /// A command with what S3 needs in its environment, by way of the proxy.
    fn with_store(&self, command: &mut Command) -> Outcome {
        let endpoint = format!("http://127.0.0.1:{}", self.proxy.port);
        let names = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("AWS_"));
        names.for_each(|name| {
            command.env_remove(name);
        });
        Outcome::of(command.envs([
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT", &endpoint),
        ]))
    }

    fn train(&self, out: &str, line: &str) -> Outcome {
        self.with_store(&mut self.place.train_command(out, &format!("model.name=dnn {line}")))
    }

    fn run(&self, line: &str) -> Outcome {
        self.with_store(self.place.command().args(line.split_whitespace()))
    }

    /// Folders with copies of objects that are still there.
    fn copies(&self) -> usize {
        let folders = self.place.path("user-cache/polyscene/copies").read_dir().unwrap();
        folders.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    }
}

#[test]
fn partitioned_text_through_breaking_connections_trains_to_the_bits_of_local_files() {
    let twins = Twins::new(CONFIG);
    twins.write("log/day=1/part-0.csv.gz", &gzip(&rows(0, 700, 20)));
    twins.write("log/day=1/part-1.csv.gz", &gzip(&rows(700, 300, 0)));
    // More than one request's worth.
    twins.write("log/day=2/part-0.csv", rows(1000, 1000, 9000).as_bytes());
    twins.write("log/notes.md", b"no data");
    let place = &twins.place;
    place.trained_dnn("local", "");

    twins.proxy.set(Trouble::Cut { times: 7, after: 500 });
    twins.train("remote", "data.path=s3://logs/log").succeeds();
    place.assert_same_runs("local", "remote");
    let (asked, cut) = twins.proxy.bodies();
    assert!(cut == 7 && asked >= 4 + 7, "{asked} bodies were asked for and {cut} cut");
    assert!(place.text("remote/config.toml").contains("path = \"s3://logs/log\"\n"));
    assert_eq!(twins.copies(), 0);

    // A second run finds the encoded rows, and only asks what is there.
    twins.train("again", "data.path=s3://logs/log").succeeds();
    place.assert_same_runs("local", "again");
    assert_eq!(twins.proxy.bodies(), (0, 0));

    // Of other content the cache is another.
    twins.write("log/day=1/part-1.csv.gz", &gzip(&rows(700, 300, 1)));
    twins.train("changed", "data.path=s3://logs/log").succeeds();
    assert!(twins.proxy.bodies().0 >= 4);

    // Later reading of the run's own rows, and of others.
    place.run("eval local").succeeds();
    twins.run("eval remote").succeeds();
    for (run, data, out) in [("local", "data/log", "local.csv"), ("remote", "s3://logs/log/day=*/*.csv*", "remote.csv")]
    {
        twins.run(&format!("predict {run} --data {data} --out {out} --device cpu")).succeeds();
        twins.run(&format!("eval {run} --data {data} --device cpu")).succeeds();
    }
    assert!(place.read("local.csv") == place.read("remote.csv"));
}

#[test]
fn parquet_files_and_resumed_runs() {
    let twins = Twins::new(CONFIG);
    let place = &twins.place;
    place.run("synth --out data --rows 2000 --vocab 100 --seed 3").succeeds();
    twins.moto.put("/logs/data.parquet", &place.read("data/data.parquet"));
    place.trained_dnn("local", "train.epochs=3");
    twins.proxy.set(Trouble::Cut { times: 3, after: 10_000 });
    let path = "data.path=s3://logs/data.parquet";
    twins.train("remote", &format!("{path} train.epochs=2")).succeeds();
    assert_eq!(twins.proxy.bodies().1, 3);
    twins.train("remote", &format!("{path} train.epochs=3 --resume")).succeeds();
    assert_eq!(twins.proxy.bodies().0, 0);
    place.assert_same_runs("local", "remote");
    // A server that is busy for a while.
    twins.proxy.set(Trouble::Answer { times: 3, answer: "503 Slow Down" });
    twins.train("busy", &format!("{path} data.cache=false train.epochs=3")).succeeds();
    place.assert_same_runs("local", "busy");
}

#[test]
fn what_is_wrong_with_a_store_is_told() {
    let twins = Twins::new(CONFIG);
    twins.write("log/day=1/part-0.csv", rows(0, 100, 0).as_bytes());
    twins.write("empty/day=1/part-0.csv", b"");
    twins.write("bad/day=1/part-0.csv", format!("{}p1,3,4,2,\n", rows(0, 100, 0)).as_bytes());
    let fails = |path: &str, says: &[&str]| {
        twins.train("out", &format!("data.path={path}")).fails(3, says);
    };
    fails("s3://lgs/log", &["s3://lgs/log: there is no bucket or container \"lgs\""]);
    fails("s3://logs/lug", &["s3://logs/lug: nothing there has this name; did you mean \"log\"?"]);
    fails("s3://logs/log/day=*/*.parquet", &["s3://logs/log/day=*/*.parquet: no object matches"]);
    fails("s3://logs/empty", &["s3://logs/empty/day=1/part-0.csv: the file is empty"]);
    fails(
        "s3://logs/bad/*/*",
        &["s3://logs/bad/day=1/part-0.csv, line 102, column \"label\": expected 0 or 1, found \"2\""],
    );
    fails("ftp://logs/log", &["\"ftp://logs/log\" is of a kind that cannot be read; s3://"]);
    twins.proxy.set(Trouble::Answer { times: 1, answer: "403 Forbidden" });
    fails(
        "s3://logs/log",
        &["s3://logs/log: access is denied; credentials come from the environment: AWS_ACCESS_KEY_ID"],
    );
    twins.proxy.set(Trouble::Answer { times: 1000, answer: "500 Internal Server Error" });
    fails("s3://logs/log", &["s3://logs/log: cannot be read", "500 Internal Server Error"]);
    let mut train = twins.place.train_command("out", "model.name=dnn data.path=s3://logs/log");
    let at = "http://127.0.0.1:9";
    Outcome::of(train.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_ENDPOINT", at)]))
        .fails(3, &["s3://logs/log: the endpoint is http://", "AWS_ALLOW_HTTP=true"]);
}

#[test]
fn an_object_that_is_replaced_half_way_is_an_error() {
    let twins = Twins::new(CONFIG);
    twins.write("log/day=1/part-0.csv", rows(0, 1000, 0).as_bytes());
    let (path, content) = ("/logs/log/day=1/part-0.csv".to_owned(), rows(1000, 1000, 0).into_bytes());
    twins.proxy.set(Trouble::Replace { path, content, after: 5000 });
    let said = ["s3://logs/log/day=1/part-0.csv: the object was replaced while it was read"];
    twins.train("out", "data.path=s3://logs/log").fails(3, &said);
    assert_eq!(twins.copies(), 0);
    twins.train("out", "data.path=s3://logs/log").succeeds();
}

/// A web server with one file, which knows neither ranges nor versions.
fn plain_server(content: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |mut client: TcpStream| -> Option<()> {
        let (line, _) = head(&mut BufReader::new(client.try_clone().ok()?))?;
        let (status, content) = match line.contains("/day=2/log.csv ") {
            true => ("200 OK", &content[..]),
            false => ("404 Not Found", &b""[..]),
        };
        let length = content.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).ok()?;
        if line.starts_with("GET ") {
            client.write_all(content).ok()?;
        }
        client.shutdown(Shutdown::Both).ok()
    };
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|client| {
            answer(client);
        })
    });
    port
}

#[test]
fn files_of_web_servers_with_ranges_and_without() {
    let twins = Twins::new(&CONFIG.replace("\"log\"", "\"day=2/log.csv\""));
    let place = &twins.place;
    let content = rows(0, 2000, 0);
    twins.write("day=2/log.csv", content.as_bytes());
    place.trained_dnn("local", "");
    // With a signature, which no message and no file but the configuration has.
    twins.proxy.set(Trouble::Cut { times: 3, after: 5000 });
    let url = format!("http://127.0.0.1:{}/logs/day=2/log.csv", twins.proxy.port);
    twins.train("ranges", &format!("data.path={url}?X-Signature=s3cret")).succeeds();
    place.assert_same_runs("local", "ranges");
    assert_eq!(twins.proxy.bodies().1, 3);
    twins.train("again", &format!("data.path={url}?X-Signature=an0ther")).succeeds();
    assert_eq!(twins.proxy.bodies(), (0, 0));

    let proxy = Proxy::before(plain_server(content.into_bytes()));
    proxy.set(Trouble::Cut { times: 2, after: 10_000 });
    let url = format!("http://127.0.0.1:{}/day=2/log.csv", proxy.port);
    twins.train("plain", &format!("data.path={url}")).succeeds();
    place.assert_same_runs("local", "plain");
    assert_eq!(proxy.bodies().1, 2);
    // What tells no version is known by its content, once it is here.
    twins.train("plainer", &format!("data.path={url}")).succeeds();
    place.assert_same_runs("local", "plainer");

    let said = twins.train("out", &format!("data.path={url}x?X-Signature=s3cret"));
    let said = said.fails(3, &["/day=2/log.csvx: there is no such object"]);
    assert!(!said.err.contains("s3cret"), "{}", said.err);
    twins.train("out", "data.path=https://localhost/part-*.csv").fails(3, &["is a glob, and web servers do not list"]);
}
