//! Servers of each kind on one host, and how they behave.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::check::{Doing, Outcome};
use crate::lab::net::Host;

/// How the servers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Silent,
    Wrong,
}

impl Mood {
    fn of(number: u8) -> Mood {
        match number {
            0 => Mood::Well,
            1 => Mood::Silent,
            _ => Mood::Wrong,
        }
    }
}

/// Servers of each kind on one host.
pub(super) struct Servers {
    mood: Arc<AtomicU8>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    pub(super) fn start(host: &Host) -> Outcome<Self> {
        let mut servers = Self {
            mood: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        let bind = |port| host.within(move || UdpSocket::bind(("192.0.2.1", port)));
        servers.datagrams(bind(8001)?.doing("bind 8001")?, |mood, _| match mood {
            Mood::Wrong => b"xyz".to_vec(),
            _ => b"abc".to_vec(),
        })?;
        // Nobody says a word here: only a closed port would be a failure.
        servers.datagrams(bind(8002)?.doing("bind 8002")?, |_, _| Vec::new())?;
        servers.datagrams(bind(8053)?.doing("bind 8053")?, |mood, question| {
            let mut answer = question.to_vec();
            if let Some(flags) = answer.get_mut(2..4) {
                flags.copy_from_slice(&[0x81, if mood == Mood::Wrong { 0x82 } else { 0x80 }]);
            }
            answer
        })?;
        let listen = |port| {
            let listener = host.within(move || TcpListener::bind(("192.0.2.1", port)));
            listener?.doing(format!("listen on {port}"))
        };
        servers.streams(listen(8025)?, mail)?;
        servers.streams(listen(8080)?, |_, _| Ok(()))?;
        servers.streams(listen(8081)?, page)?;
        Ok(servers)
    }

    fn datagrams(
        &mut self,
        socket: UdpSocket,
        answer: impl Fn(Mood, &[u8]) -> Vec<u8> + Send + 'static,
    ) -> Outcome {
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (mood, ended) = (Arc::clone(&self.mood), Arc::clone(&self.ended));
        self.threads.push(std::thread::spawn(move || {
            let mut bytes = [0; 600];
            while !ended.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else {
                    continue;
                };
                let mood = Mood::of(mood.load(Ordering::SeqCst));
                let reply = answer(mood, &bytes[..length]);
                if mood != Mood::Silent && !reply.is_empty() {
                    let _ = socket.send_to(&reply, from);
                }
            }
        }));
        Ok(())
    }

    /// Each connection by itself, as long as it lasts.
    fn streams(
        &mut self,
        listener: TcpListener,
        serve: fn(TcpStream, Mood) -> std::io::Result<()>,
    ) -> Outcome {
        listener.set_nonblocking(true)?;
        let (mood, ended) = (Arc::clone(&self.mood), Arc::clone(&self.ended));
        self.threads.push(std::thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let mood = Mood::of(mood.load(Ordering::SeqCst));
                        std::thread::spawn(move || serve(stream, mood));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Err(_) => return,
                }
            }
        }));
        Ok(())
    }

    pub(super) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    fn stop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn page(mut stream: TcpStream, mood: Mood) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    match mood {
        Mood::Silent => std::thread::sleep(Duration::from_millis(1500)),
        Mood::Wrong => stream.write_all(b"HTTP/1.0 503 Busy\r\n\r\n")?,
        Mood::Well => stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwell\n")?,
    }
    Ok(())
}

fn mail(mut stream: TcpStream, mood: Mood) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    if mood == Mood::Silent {
        std::thread::sleep(Duration::from_millis(1500));
        return Ok(());
    }
    stream.write_all(b"220 here\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let reply: &[u8] = match (line.split(' ').next(), mood) {
            (Some("QUIT"), _) => b"221 bye\r\n",
            (_, Mood::Wrong) => b"550 go away\r\n",
            _ => b"250 hello\r\n",
        };
        stream.write_all(reply)?;
    }
    Ok(())
}
