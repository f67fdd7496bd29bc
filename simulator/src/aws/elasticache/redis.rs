//! One Redis server.

use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a server, for whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It has another password than the one that everybody knows.
    OtherPassword,
    /// The commands that remove keys are renamed.
    Renamed,
    /// It is a replica.
    Replica,
    /// Nobody reaches it.
    Away,
    /// Connections end after so many commands that change something, so many times.
    Cuts {
        /// How many commands a connection lives for.
        after: u64,
        /// How many more connections end.
        times: u64,
    },
}

/// What a client has done on its connection.
#[derive(Debug, Default)]
pub(in crate::aws) struct Session {
    is_authenticated: bool,
    is_queueing: bool,
    changes: u64,
}

/// What becomes of a command.
pub(in crate::aws) enum Outcome {
    /// It is answered with these bytes.
    Answer(Vec<u8>),
    /// The connection ends.
    Cut,
}

/// One Redis server.
pub(super) struct Redis {
    password: Option<String>,
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) trouble: Option<Trouble>,
    pub(super) troubled: u64,
}

/// Commands that change something.
const CHANGES: [&str; 3] = ["FLUSHALL", "SET", "UNLINK"];

/// Whether a command can change something.
pub(in crate::aws) fn can_change(command: &str) -> bool {
    CHANGES.contains(&command)
}

impl Redis {
    pub(super) fn new(password: Option<&str>) -> Self {
        Self {
            password: password.map(str::to_owned),
            keys: BTreeMap::new(),
            trouble: None,
            troubled: 0,
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.keys.get(key)
    }

    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        self.keys.insert(key.to_owned(), value.to_owned());
    }

    pub(super) fn prefixes(&self) -> BTreeMap<String, bool> {
        let prefix = |key: &Vec<u8>| {
            let key = String::from_utf8_lossy(key).into_owned();
            key.split(':').next().unwrap_or_default().to_owned()
        };
        let prefixes: BTreeSet<String> = self.keys.keys().map(prefix).collect();
        prefixes.into_iter().map(|prefix| (prefix, true)).collect()
    }

    /// Whether nobody reaches it, which is counted.
    pub(super) fn is_away(&mut self) -> bool {
        let is_away = self.trouble == Some(Trouble::Away);
        self.troubled += u64::from(is_away);
        is_away
    }

    /// Takes a command.
    pub(super) fn take(&mut self, session: &mut Session, command: &str, arguments: &[Vec<u8>]) -> Outcome {
        if self.cuts(session, command) {
            return Outcome::Cut;
        }
        Outcome::Answer(match self.hindrance(session, command) {
            Some(refused) => refused,
            None if session.is_queueing && !["DISCARD", "EXEC"].contains(&command) => simple("QUEUED"),
            None => self.run(session, command, arguments),
        })
    }

    /// Whether the connection ends at a command.
    fn cuts(&mut self, session: &mut Session, command: &str) -> bool {
        if session.is_queueing || !can_change(command) {
            return false;
        }
        session.changes += 1;
        match &mut self.trouble {
            Some(Trouble::Cuts { after, times }) if *times > 0 && session.changes > *after => {
                *times -= 1;
                self.troubled += 1;
                true
            }
            _ => false,
        }
    }

    /// Why a command is refused, in the order in which Redis looks for reasons.
    fn hindrance(&mut self, session: &Session, command: &str) -> Option<Vec<u8>> {
        if self.trouble == Some(Trouble::Renamed) && ["FLUSHALL", "UNLINK"].contains(&command) {
            self.troubled += 1;
            return Some(error(&format!("ERR unknown command '{command}'")));
        }
        if self.password.is_some() && !session.is_authenticated && command != "AUTH" {
            return Some(error("NOAUTH Authentication required."));
        }
        if self.trouble == Some(Trouble::Replica) && can_change(command) {
            self.troubled += 1;
            return Some(error("READONLY You can't write against a read only replica."));
        }
        None
    }

    fn run(&mut self, session: &mut Session, command: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
        match (command, arguments) {
            ("AUTH", [.., password]) => self.authenticate(session, password),
            ("INFO", _) => bulk(b"# Server\r\nredis_version:7.1.0\r\n# Cluster\r\ncluster_enabled:0\r\n"),
            ("MULTI", []) => {
                session.is_queueing = true;
                simple("OK")
            }
            ("DISCARD", []) => {
                session.is_queueing = false;
                simple("OK")
            }
            ("DBSIZE", []) => integer(self.keys.len()),
            ("GET", [key]) => self
                .keys
                .get(key)
                .map_or_else(|| b"$-1\r\n".to_vec(), |value| bulk(value)),
            ("SET", [key, value]) => {
                self.set(key, value);
                simple("OK")
            }
            ("UNLINK", keys) if !keys.is_empty() => {
                let removed = keys.iter().filter(|key| self.keys.remove(*key).is_some());
                integer(removed.count())
            }
            ("FLUSHALL", _) => {
                self.keys.clear();
                simple("OK")
            }
            ("SCAN", [_, like, pattern, ..]) if like.eq_ignore_ascii_case(b"MATCH") => self.scan(pattern),
            _ => error(&format!("ERR the simulated Redis does not know '{command}' so")),
        }
    }

    fn authenticate(&mut self, session: &mut Session, password: &[u8]) -> Vec<u8> {
        if self.trouble == Some(Trouble::OtherPassword) {
            self.troubled += 1;
            return error("WRONGPASS invalid username-password pair or user is disabled.");
        }
        match &self.password {
            None => error(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is \
                 correct?",
            ),
            Some(right) if right.as_bytes() == password => {
                session.is_authenticated = true;
                simple("OK")
            }
            Some(_) => error("WRONGPASS invalid username-password pair or user is disabled."),
        }
    }

    /// All keys of a pattern in one answer: it promises each that is there from the first one to the last.
    fn scan(&self, pattern: &[u8]) -> Vec<u8> {
        let Some(prefix) = literal_prefix(pattern) else {
            return error("ERR the simulated Redis knows patterns that end in their only star");
        };
        let found: Vec<&Vec<u8>> = self.keys.keys().filter(|key| key.starts_with(&prefix)).collect();
        let mut answer = b"*2\r\n$1\r\n0\r\n".to_vec();
        answer.extend(format!("*{}\r\n", found.len()).into_bytes());
        for key in found {
            answer.extend(bulk(key));
        }
        answer
    }
}

/// What a pattern says before the star at its end; nothing, if it has more than that.
fn literal_prefix(pattern: &[u8]) -> Option<Vec<u8>> {
    let mut prefix = Vec::new();
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => prefix.push(*bytes.next()?),
            b'*' => return bytes.next().is_none().then_some(prefix),
            b'?' | b'[' => return None,
            byte => prefix.push(*byte),
        }
    }
    None
}

fn simple(text: &str) -> Vec<u8> {
    format!("+{text}\r\n").into_bytes()
}

fn error(text: &str) -> Vec<u8> {
    format!("-{text}\r\n").into_bytes()
}

fn integer(number: usize) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut answer = format!("${}\r\n", bytes.len()).into_bytes();
    answer.extend_from_slice(bytes);
    answer.extend_from_slice(b"\r\n");
    answer
}

/// The words of a command, and how many bytes it took.
pub(in crate::aws) type Sent = (Vec<Vec<u8>>, usize);

/// The first command in what a client has sent; nothing, if it is not whole yet. Errors: it is none.
pub(in crate::aws) fn parse(sent: &[u8]) -> Result<Option<Sent>, ()> {
    let mut at = 0;
    let Some(count) = number(sent, &mut at, b'*')? else {
        return Ok(None);
    };
    let mut words = Vec::new();
    for _ in 0..count {
        let Some(length) = number(sent, &mut at, b'$')? else {
            return Ok(None);
        };
        let Some(word) = sent.get(at..at + length).filter(|_| sent.len() >= at + length + 2) else {
            return Ok(None);
        };
        words.push(word.to_owned());
        at += length + 2;
    }
    Ok(Some((words, at)))
}

/// The number of a line that begins so.
fn number(sent: &[u8], at: &mut usize, begins: u8) -> Result<Option<usize>, ()> {
    let rest = &sent[*at..];
    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let line = &rest[..end];
    let digits = line.strip_prefix(&[begins]).ok_or(())?;
    let number = std::str::from_utf8(digits).map_err(drop)?.parse().map_err(drop)?;
    *at += end + 2;
    Ok(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(redis: &mut Redis, session: &mut Session, line: &str) -> String {
        let mut words = line.split(' ');
        let command = words.next().unwrap();
        let arguments: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_owned()).collect();
        match redis.take(session, command, &arguments) {
            Outcome::Answer(answer) => String::from_utf8(answer).unwrap(),
            Outcome::Cut => "(cut)".to_owned(),
        }
    }

    #[test]
    fn it_answers_as_redis_does() {
        let mut redis = Redis::new(Some("right"));
        let mut session = Session::default();
        let mut say = |line: &str| say(&mut redis, &mut session, line);
        assert!(say("GET a").starts_with("-NOAUTH"));
        assert!(say("AUTH wrong").starts_with("-WRONGPASS"));
        assert_eq!(say("AUTH default right"), "+OK\r\n");
        assert_eq!(say("SET a:1 x"), "+OK\r\n");
        assert_eq!(say("SET b:1 y"), "+OK\r\n");
        assert_eq!(say("SCAN 0 MATCH a:* COUNT 10"), "*2\r\n$1\r\n0\r\n*1\r\n$3\r\na:1\r\n");
        assert_eq!(say("MULTI"), "+OK\r\n");
        assert_eq!(say("FLUSHALL ASYNC"), "+QUEUED\r\n");
        assert_eq!(say("DISCARD"), "+OK\r\n");
        assert_eq!(say("DBSIZE"), ":2\r\n");
        assert_eq!(say("UNLINK a:1 none"), ":1\r\n");
        assert_eq!(say("GET a:1"), "$-1\r\n");
        assert_eq!(say("FLUSHALL"), "+OK\r\n");
        assert_eq!(say("DBSIZE"), ":0\r\n");
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let mut redis = Redis::new(None);
        let mut say = |trouble: Trouble, line: &str| {
            redis.trouble = Some(trouble);
            say(&mut redis, &mut Session::default(), line)
        };
        assert!(say(Trouble::Renamed, "UNLINK a").contains("unknown command"));
        assert!(say(Trouble::Replica, "SET a b").starts_with("-READONLY"));
        assert!(say(Trouble::OtherPassword, "AUTH p").starts_with("-WRONGPASS"));
        let cuts = Trouble::Cuts { after: 0, times: 1 };
        assert_eq!(say(cuts, "UNLINK a"), "(cut)");
        assert_eq!(redis.troubled, 4);
    }

    #[test]
    fn commands_come_in_pieces() {
        let sent = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n";
        let (words, taken) = parse(sent).unwrap().unwrap();
        assert_eq!((words, taken), (vec![b"GET".to_vec(), b"a".to_vec()], 20));
        assert_eq!(parse(&sent[..19]), Ok(None));
        assert_eq!(parse(b"GET a\r\n"), Err(()));
        assert_eq!(literal_prefix(br"a\*b*"), Some(b"a*b".to_vec()));
        assert_eq!(literal_prefix(b"a*b*"), None);
    }
}
