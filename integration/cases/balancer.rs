//! The balancer's thread on a real kernel: it programs, checks, mends, hands over to a successor and
//! cleans up, beside services that are not its own.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use vipd::config::{Config, Files, Options, Style, load};
use vipd::daemon::balancer_thread::{Inbox, Order, PROBES_MAX, Prepared, Status, open_ipvs, start};
use vipd::daemon::notify_thread::Notices;
use vipd::engine::balancer::{Balancer, StopKind};
use vipd::engine::shared::{FileFacts, Roles, SessionFacts};
use vipd::lvs::Owned;
use vipd::probe::Kit;

use crate::lab::Case;
use crate::lab::Lab;
use crate::lab::check::{Doing, Failure, Outcome, ensure_eq, wait_until};
use crate::lab::net::{Host, Net};

pub(crate) const CASES: &[Case] = &[Case {
    name: "balancer.life",
    proves: "the balancer programs, follows checks, mends what was wiped, is succeeded without a change, \
             removes its own and nothing else",
    limit: Duration::from_secs(120),
    run: life,
}];

const LIMIT: Duration = Duration::from_secs(20);

/// The first server is the one that fails and recovers.
const TEXT: &str = "
virtual_server 192.0.2.200 8000 {
    delay_loop 1
    warmup 0
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    real_server 192.0.2.1 8001 {
        weight 1
        TCP_CHECK {
            connect_timeout 2
            retry 0
        }
    }
    real_server 192.0.2.1 8002 {
        weight 2
    }
}
virtual_server 192.0.2.200 9000 {
    lb_algo sh
    lb_kind DR
    protocol UDP
    persistence_timeout 60
    real_server 192.0.2.3 9000 {
        weight 3
    }
}
";

const FOREIGN: &str = "-A -t 192.0.2.77:80 -s rr";

fn life(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    host.run(&["ipvsadm", "-A", "-t", "192.0.2.77:80", "-s", "rr"])?;
    let listen = || {
        host.within(|| TcpListener::bind("192.0.2.1:8001"))?
            .doing("listen")
    };
    let listener = listen()?;
    let config = config(TEXT)?;

    let mut balancer = Running::start(&host, &config, Owned::default())?;
    balancer.wait("ready", |s| s.ready)?;
    let whole = host.ipvs()?;
    let first = "-a -t 192.0.2.200:8000 -r 192.0.2.1:8001 -m -w 1".to_owned();
    let mut expected = vec![
        FOREIGN.to_owned(),
        "-A -t 192.0.2.200:8000 -s wrr".to_owned(),
        "-A -u 192.0.2.200:9000 -s sh -p 60".to_owned(),
        first.clone(),
        "-a -t 192.0.2.200:8000 -r 192.0.2.1:8002 -m -w 2".to_owned(),
        "-a -u 192.0.2.200:9000 -r 192.0.2.3:9000 -g -w 3".to_owned(),
    ];
    expected.sort();
    ensure_eq!(whole, expected, "the table at the start");

    let without: Vec<String> = whole.iter().filter(|l| **l != first).cloned().collect();
    drop(listener);
    wait_until("the failed server is gone", LIMIT, || {
        Ok(host.ipvs()? == without)
    })?;

    // A successor finds the server failed, and leaves it so until it has passed.
    let owned = Owned::clone(&balancer.status.borrow().owned);
    balancer.end(Order::Stop(StopKind::Keep))?;
    ensure_eq!(host.ipvs()?, without, "the table that is left");
    let mut balancer = Running::start(&host, &config, owned)?;
    balancer.wait("ready", |s| s.ready)?;
    ensure_eq!(host.ipvs()?, without, "the table after a restart");
    let listener = listen()?;
    wait_until("the server is back", LIMIT, || Ok(host.ipvs()? == whole))?;

    // The next thing to happen shows that the table was wiped.
    host.run(&["ipvsadm", "-C"])?;
    host.run(&["ipvsadm", "-A", "-t", "192.0.2.77:80", "-s", "rr"])?;
    drop(listener);
    wait_until("it is mended", LIMIT, || Ok(host.ipvs()? == without))?;

    let one = TEXT.replace("weight 2", "weight 5");
    balancer.reload(&one)?;
    wait_until("the weight is the new one", LIMIT, || {
        Ok(host.ipvs()?.iter().any(|l| l.ends_with("8002 -m -w 5")))
    })?;
    balancer.reload("global_defs {\n}\n")?;
    wait_until("nothing of it is left", LIMIT, || {
        Ok(host.ipvs()? == [FOREIGN])
    })?;
    balancer.reload(TEXT)?;
    wait_until("it is all there again", LIMIT, || {
        Ok(host.ipvs()? == without || host.ipvs()? == whole)
    })?;
    balancer.end(Order::Stop(StopKind::Remove))?;
    ensure_eq!(host.ipvs()?, [FOREIGN], "the table after the stop");
    Ok(())
}

struct Running {
    orders: mpsc::UnboundedSender<Order>,
    status: watch::Receiver<Status>,
    thread: JoinHandle<()>,
    _facts: (
        watch::Sender<Roles>,
        watch::Sender<SessionFacts>,
        watch::Sender<FileFacts>,
    ),
}

impl Running {
    fn start(host: &Host, config: &Config, record: Owned) -> Outcome<Running> {
        let ipvs = host
            .within(|| open_ipvs(config, &record))?
            .doing("open IPVS")?;
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (roles, roles_in) = watch::channel(Roles::default());
        let (sessions, sessions_in) = watch::channel(SessionFacts::new());
        let (files, files_in) = watch::channel(FileFacts::new());
        let (status_out, status) = watch::channel(Status::default());
        let inbox = Inbox {
            orders: orders_in,
            roles: roles_in,
            sessions: sessions_in,
            files: files_in,
            kit: Kit::default(),
            spawner: None,
            status: status_out,
            notices: Notices::to_nobody(),
            events: vipd::control::Events::to_nobody(),
            probes_max: PROBES_MAX,
        };
        let balancer = Balancer::new(config.clone(), record, 1);
        // The thread is born in the namespace, and so are the sockets of its checks.
        let thread = host.within(|| start(ipvs, balancer, inbox))??;
        Ok(Running {
            orders,
            status,
            thread,
            _facts: (roles, sessions, files),
        })
    }

    fn wait(&mut self, what: &str, mut level: impl FnMut(&Status) -> bool) -> Outcome {
        wait_until(what, LIMIT, || Ok(level(&self.status.borrow())))?;
        Ok(())
    }

    fn reload(&self, text: &str) -> Outcome {
        let config = Arc::new(config(text)?);
        let prepared = Prepared::new(config, &self.status.borrow()).doing("prepare")?;
        self.order(Order::Reload(prepared))
    }

    fn end(self, order: Order) -> Outcome {
        self.order(order)?;
        let ended = self.thread.join();
        ended.map_err(|_| Failure::failed("the balancer's thread panicked"))
    }

    fn order(&self, order: Order) -> Outcome {
        let sent = self.orders.send(order);
        sent.map_err(|_| Failure::failed("the balancer's thread has ended"))
    }
}

/// One text, whatever file is asked for.
struct Text(String);

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn exists(&self, _: &Path) -> bool {
        true
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![pattern.to_owned()])
    }
}

fn config(text: &str) -> Outcome<Config> {
    let files = Text(text.to_owned());
    let loaded = load(Path::new("balancer.conf"), &files, &Options::default());
    let said = loaded.render(Style::Concise);
    loaded
        .config
        .ok_or_else(|| Failure::failed(format!("the configuration is not taken:\n{said}")))
}
