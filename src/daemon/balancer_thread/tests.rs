use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use crate::config::Config;
use crate::config::model::{
    self, Checker, ConnectOptions, RealServer, SchedulerSpec, Tunnel, VirtualServer,
    VirtualServerAddress,
};
use crate::lvs::Observation;
use crate::lvs::fake::FakeKernel;
use crate::net::{Endpoint, ForwardingMethod, Protocol, Scheduler};

use super::*;
use crate::config::model::CheckerKind;

/// Far longer than anything here takes on a machine that stalls.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<FakeKernel>>);

impl Shared {
    fn text(&self) -> String {
        self.0.lock().unwrap().text()
    }
}

impl Kernel for Shared {
    fn observe(&mut self) -> Result<Observation, String> {
        Ok(self.0.lock().unwrap().now.clone())
    }

    fn apply(&mut self, commands: &[Command]) -> Vec<Failure> {
        let mut kernel = self.0.lock().unwrap();
        for command in commands {
            kernel.run(command).unwrap();
        }
        Vec::new()
    }
}

fn real(last: u8) -> RealServer {
    let endpoint = Endpoint::new(Ipv4Addr::new(10, 1, 0, last).into(), 80);
    let kind = CheckerKind::Ping(ConnectOptions {
        destination: endpoint,
        bind_to: None,
        bind_port: 0,
        bind_if: None,
        mark: None,
        connect_timeout: Duration::from_secs(5),
    });
    RealServer {
        endpoint,
        weight: 1,
        forwarding: ForwardingMethod::Masquerading,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        alpha: false,
        tunnel: Tunnel::default(),
        connections: None,
        more: model::Shared::default(),
        checkers: vec![
            Checker {
                kind,
                delay_loop: Duration::from_secs(60),
                retry: 1,
                delay_before_retry: Duration::from_secs(1),
                warmup: Duration::ZERO,
                alpha: false,
                log_all_failures: false,
            }
            .into(),
        ],
    }
}

fn config() -> Arc<Config> {
    let virtual_server = VirtualServer {
        address: VirtualServerAddress::Endpoint {
            protocol: Protocol::Tcp,
            endpoint: Endpoint::new(Ipv4Addr::new(10, 0, 0, 1).into(), 80),
        },
        scheduler: SchedulerSpec {
            name: Scheduler::wlc(),
            flags: BTreeSet::new(),
        },
        persistence: None,
        one_packet: false,
        real_servers: (1..=3).map(real).collect(),
        group: None,
        sorry_server: None,
        writers: None,
        pool: model::Shared::default(),
    };
    Arc::new(Config {
        virtual_servers: vec![virtual_server],
        ..Config::default()
    })
}

struct Rig {
    kernel: Shared,
    orders: mpsc::UnboundedSender<Order>,
    roles: watch::Sender<Roles>,
    _sessions: watch::Sender<SessionFacts>,
    _files: watch::Sender<FileFacts>,
    status: watch::Receiver<Status>,
    thread: JoinHandle<()>,
}

impl Rig {
    fn start<F>(ask: impl Fn(Question) -> F + Send + 'static) -> Rig
    where
        F: Future<Output = CheckOutcome> + 'static,
    {
        let kernel = Shared::default();
        let (orders, inbox) = mpsc::unbounded_channel();
        let (roles, roles_in) = watch::channel(Roles::default());
        let (sessions, sessions_in) = watch::channel(SessionFacts::new());
        let (files, files_in) = watch::channel(FileFacts::new());
        let (status_out, status) = watch::channel(Status::default());
        let inbox = Inbox {
            orders: inbox,
            roles: roles_in,
            sessions: sessions_in,
            files: files_in,
            kit: Kit::default(),
            spawner: None,
            status: status_out,
            notices: Notices::to_nobody(),
            events: crate::control::Events::to_nobody(),
            probes_max: 2,
        };
        let balancer = Balancer::new(config(), Owned::default(), 7);
        let boxed = Box::new(kernel.clone());
        let thread = start_with(Some(boxed), balancer, inbox, move |question, _| {
            ask(question)
        })
        .unwrap();
        Rig {
            kernel,
            orders,
            roles,
            _sessions: sessions,
            _files: files,
            status,
            thread,
        }
    }

    fn wait(&mut self, until: impl FnMut(&Status) -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let waited = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.status.wait_for(until))
                .await
                .map(|seen| seen.is_ok())
        });
        assert_eq!(waited, Ok(true));
    }

    fn wait_for_text(&self, part: &str, there: bool) {
        let before = clock::now();
        while self.kernel.text().contains(part) != there {
            assert!(
                clock::now().since(before) < PATIENCE,
                "{}",
                self.kernel.text()
            );
            std::thread::yield_now();
        }
    }
}

#[test]
fn it_programs_checks_takes_failed_servers_out_and_removes_all_at_the_end() {
    let mut rig = Rig::start(|question| async move {
        match question
            .kind()
            .destination()
            .unwrap()
            .addr
            .to_string()
            .as_str()
        {
            "10.1.0.1" => CheckOutcome::Failed("no".to_owned()),
            "10.1.0.2" => panic!("a check that breaks is a failed check"),
            _ => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                CheckOutcome::Passed
            }
        }
    });
    rig.wait(|s| s.ready && s.ipvs_open && !s.owned.is_empty());
    rig.wait_for_text("10.1.0.1", false);
    rig.wait_for_text("10.1.0.2", false);
    rig.wait_for_text("10.1.0.3", true);
    // A failover thread that is started again brings its own roles; ours goes on without.
    drop(rig.roles.clone());
    rig.orders.send(Order::Stop(StopKind::Remove)).ok().unwrap();
    rig.wait(|s| s.stopped);
    rig.thread.join().unwrap();
    assert_eq!(rig.kernel.text(), "");
}

#[test]
fn when_main_is_gone_it_ends_and_leaves_the_table() {
    let mut rig = Rig::start(|_| std::future::pending());
    rig.wait(|s| s.ready);
    drop(rig.roles);
    drop(rig.orders);
    rig.thread.join().unwrap();
    assert!(rig.kernel.text().contains("10.1.0.3"));
    assert!(rig.status.borrow_and_update().stopped);
}

#[test]
fn a_reload_goes_through_and_cancels_checks_of_servers_that_left() {
    let mut rig = Rig::start(|_| std::future::pending());
    rig.wait(|s| s.ready);
    let mut config = config();
    Arc::make_mut(&mut config).virtual_servers[0]
        .real_servers
        .remove(0);
    let prepared = Prepared::new(config, &rig.status.borrow()).unwrap();
    rig.orders.send(Order::Reload(prepared)).ok().unwrap();
    rig.wait_for_text("10.1.0.1", false);
    rig.orders.send(Order::Stop(StopKind::Remove)).ok().unwrap();
    rig.wait(|s| s.stopped);
    rig.thread.join().unwrap();
}
