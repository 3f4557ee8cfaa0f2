//! Flags that are known and change nothing.

/// keepalived's flags that a start script may pass and that vipd has no use for; each is told of once.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Accepted without effect")]
pub struct WithoutEffect {
    /// There is no second process that could be started again
    #[arg(short = 'R', long = "dont-respawn")]
    dont_respawn: bool,
    /// VIPs are always released, unless -V is given
    #[arg(short = 'X', long = "release-vips")]
    release_vips: bool,
    /// Everything that is configured runs
    #[arg(long = "all")]
    all: bool,
    /// The log is written line by line
    #[arg(long = "flush-log-file")]
    flush_log_file: bool,
    /// SNMP is not offered
    #[arg(short = 'x', long = "snmp")]
    snmp: bool,
    /// SNMP is not offered
    #[arg(short = 'A', long = "snmp-agent-socket", value_name = "ADDR")]
    snmp_agent_socket: Option<String>,
    /// Use the limits of the service manager
    #[arg(short = 'm', long = "core-dump")]
    core_dump: bool,
    /// Use the limits of the service manager
    #[arg(short = 'M', long = "core-dump-pattern", value_name = "PATTERN", num_args = 0..=1, require_equals = true)]
    core_dump_pattern: Option<Option<String>>,
    /// `vipd status`, and the dump files, say what is in force
    #[arg(short = 'd', long = "dump-conf")]
    dump_conf: bool,
    /// Memory is not counted by hand
    #[arg(long = "no-mem-check")]
    no_mem_check: bool,
    /// Changes of addresses are always logged where they matter
    #[arg(short = 'a', long = "address-monitoring")]
    address_monitoring: bool,
}

impl WithoutEffect {
    /// The flags that were given.
    pub fn given(&self) -> Vec<&'static str> {
        let flags = [
            (self.dont_respawn, "--dont-respawn"),
            (self.release_vips, "--release-vips"),
            (self.all, "--all"),
            (self.flush_log_file, "--flush-log-file"),
            (self.snmp, "--snmp"),
            (self.snmp_agent_socket.is_some(), "--snmp-agent-socket"),
            (self.core_dump, "--core-dump"),
            (self.core_dump_pattern.is_some(), "--core-dump-pattern"),
            (self.dump_conf, "--dump-conf"),
            (self.no_mem_check, "--no-mem-check"),
            (self.address_monitoring, "--address-monitoring"),
        ];
        flags
            .into_iter()
            .filter(|(given, _)| *given)
            .map(|(_, flag)| flag)
            .collect()
    }
}
