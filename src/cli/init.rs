//! `vipd init`: a commented configuration for the common cases, from flags or after asking.

mod text;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::ValueEnum;

use crate::daemon::run_dir::write_whole;
use crate::errno::Words;
use crate::net::{Cidr, InterfaceName};

/// Write a configuration for one of the common cases
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
What no flag says is asked for on a terminal; without one, an example stands there. The result goes to
standard output, or with --output into a file that is not there yet.

Examples:
  vipd init pair --interface eth0 --vip 192.0.2.100/24 --node 1
  vipd init lvs --interface eth0 --vip 192.0.2.100/24 --server 198.51.100.11:80 --server 198.51.100.12:80
  vipd init galera --interface eth0 --vip 192.0.2.100/24 --server 198.51.100.11:3306 -o /etc/vipd/vipd.conf
  vipd init container --interface eth0 --vip 192.0.2.100/24 --inner-vip 172.18.0.201")]
pub struct InitArgs {
    /// What it is for
    #[arg(value_enum)]
    case: Option<Scene>,

    /// The network card towards the clients
    #[arg(long, value_name = "NAME")]
    interface: Option<InterfaceName>,

    /// The virtual address, with its prefix
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    vip: Option<Cidr>,

    /// Which of the nodes this is: the lower, the rather it is master
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=9))]
    node: Option<u8>,

    /// The number of the virtual router: no other cluster on the network may have it
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    vrid: Option<u8>,

    /// The other node's own address, where the network carries no multicast; may be repeated
    #[arg(long = "peer", value_name = "ADDRESS")]
    peers: Vec<IpAddr>,

    /// A server behind the address; may be repeated (lvs, galera)
    #[arg(long = "server", value_name = "ADDRESS:PORT")]
    servers: Vec<SocketAddr>,

    /// The address that the containers share (container)
    #[arg(long, value_name = "ADDRESS")]
    inner_vip: Option<IpAddr>,

    /// Port of the service (lvs, galera, container)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The common cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scene {
    /// Two nodes share an address
    Pair,
    /// The same, and the master spreads connections over servers (IPVS)
    Lvs,
    /// The same in front of a Galera cluster, whose nodes are asked whether they are synced
    Galera,
    /// A host's address in front of one that its containers share
    Container,
}

/// Everything that has to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) scene: Scene,
    pub(super) interface: InterfaceName,
    pub(super) vip: Cidr,
    pub(super) node: u8,
    pub(super) vrid: u8,
    pub(super) peers: Vec<IpAddr>,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) inner_vip: IpAddr,
    pub(super) port: u16,
}

/// Runs the command.
pub(super) fn run(args: &InitArgs) -> ExitCode {
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let stdin = std::io::stdin();
    let answers = answers(args, &mut |question: &str, example: &str| {
        if !asks {
            return Some(example.to_owned());
        }
        let _ = write!(std::io::stderr(), "{question} [{example}]: ");
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        match stdin.lock().read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) if line.trim().is_empty() => Some(example.to_owned()),
            Ok(_) => Some(line.trim().to_owned()),
        }
    });
    let Some(answers) = answers else {
        super::say("nothing was written");
        return ExitCode::FAILURE;
    };
    let text = text::configuration(&answers);
    let Some(path) = &args.output else {
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    };
    if path.symlink_metadata().is_ok() {
        super::say(&format!(
            "{} is there already: it stays as it is",
            path.display()
        ));
        return ExitCode::FAILURE;
    }
    if let Err(error) = write_whole(path, text.as_bytes()) {
        super::say(&format!("write {}: {}", path.display(), Words(&error)));
        return ExitCode::FAILURE;
    }
    let path = path.display();
    super::say(&format!(
        "wrote {path}; next: vipd check {path}, vipd doctor -f {path}, then vipd -f {path}"
    ));
    ExitCode::SUCCESS
}

/// Puts a question with an example to whoever is there; `None`: nobody wants to answer.
type Put<'a> = &'a mut dyn FnMut(&str, &str) -> Option<String>;

/// What the flags say, and what is asked for beyond.
fn answers(args: &InitArgs, put: Put<'_>) -> Option<Answers> {
    let scene = match args.case {
        Some(scene) => scene,
        None => until("pair, lvs, galera or container?", "pair", put, |text| {
            Scene::from_str(text, true).ok()
        })?,
    };
    let interface = match &args.interface {
        Some(name) => name.clone(),
        None => parsed("Network card towards the clients", "eth0", put)?,
    };
    let vip = match args.vip {
        Some(vip) => vip,
        None => parsed("Virtual address, with its prefix", "192.0.2.100/24", put)?,
    };
    let node = match args.node {
        Some(node) => node,
        None => until(
            "Number of this node: 1 is the first choice for master",
            "1",
            put,
            |text| text.parse().ok().filter(|node| (1..=9).contains(node)),
        )?,
    };
    let vrid = match args.vrid {
        Some(vrid) => vrid,
        None => until(
            "Number of the virtual router, 1 to 255, the same on all nodes",
            "51",
            put,
            |text| text.parse().ok().filter(|vrid| *vrid > 0),
        )?,
    };
    let port = match (args.port, scene) {
        (Some(port), _) => port,
        (None, Scene::Pair) => 80,
        (None, Scene::Galera | Scene::Container) => parsed("Port of the service", "3306", put)?,
        (None, Scene::Lvs) => parsed("Port of the service", "80", put)?,
    };
    let mut servers = args.servers.clone();
    if servers.is_empty() && matches!(scene, Scene::Lvs | Scene::Galera) {
        let example = match vip.addr() {
            IpAddr::V4(_) => format!("198.51.100.11:{port} 198.51.100.12:{port}"),
            IpAddr::V6(_) => format!("[2001:db8:1::11]:{port} [2001:db8:1::12]:{port}"),
        };
        servers = until(
            "Servers, as ADDRESS:PORT ADDRESS:PORT",
            &example,
            put,
            |text| {
                text.split([' ', ','])
                    .filter(|word| !word.is_empty())
                    .map(|word| word.parse().ok())
                    .collect()
            },
        )?;
    }
    let inner_vip = match (args.inner_vip, scene) {
        (Some(address), _) => address,
        (None, Scene::Container) => {
            parsed("Address that the containers share", "172.18.0.201", put)?
        }
        (None, _) => vip.addr(),
    };
    Some(Answers {
        scene,
        interface,
        vip,
        node,
        vrid,
        peers: args.peers.clone(),
        servers,
        inner_vip,
        port,
    })
}

fn parsed<T: FromStr>(question: &str, example: &str, put: Put<'_>) -> Option<T> {
    until(question, example, put, |text| text.parse().ok())
}

/// Asks until the answer can be used; three times.
fn until<T>(
    question: &str,
    example: &str,
    put: Put<'_>,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    for _ in 0..3 {
        if let Some(answer) = read(put(question, example)?.trim()) {
            return Some(answer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: InitArgs,
    }

    fn of(words: &str, said: &[&str]) -> Option<Answers> {
        let line = Line::try_parse_from(format!("init {words}").split_whitespace()).ok()?;
        let mut said = said.iter();
        answers(&line.args, &mut |_, example| match said.next() {
            Some(&"") => Some(example.to_owned()),
            Some(word) => Some((*word).to_owned()),
            None => Some(example.to_owned()),
        })
    }

    #[test]
    fn flags_are_not_asked_for_and_examples_stand_for_the_rest() {
        let answers = of(
            "pair --interface ens3 --vip 10.0.0.9/24 --node 2 --vrid 7",
            &[],
        )
        .unwrap();
        assert_eq!(answers.interface.as_str(), "ens3");
        assert_eq!((answers.node, answers.vrid), (2, 7));
        assert_eq!(answers.vip.to_string(), "10.0.0.9/24");
        let asked = of(
            "",
            &[
                "lvs",
                "eth1",
                "x",
                "10.0.0.9/24",
                "",
                "9",
                "8080",
                "10.1.0.1:80",
            ],
        )
        .unwrap();
        assert_eq!(
            (asked.scene, asked.node, asked.vrid, asked.port),
            (Scene::Lvs, 1, 9, 8080)
        );
        assert_eq!(asked.servers, ["10.1.0.1:80".parse().unwrap()]);
        assert!(of("pair", &["eth0", "x", "y", "z"]).is_none());
        assert!(of("pair --node 0", &[]).is_none());
    }
}
