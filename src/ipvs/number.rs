//! Numbers of include/uapi/linux/ip_vs.h: commands, attributes, flags.

use neli::neli_enum;

/// IPVS_CMD_*.
#[neli_enum(serialized_type = "u8")]
pub enum Number {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
    /// Only in the answer to `GetInfo`.
    SetInfo = 14,
    GetInfo = 15,
}

/// IPVS_CMD_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub enum CommandAttribute {
    Service = 1,
    Dest = 2,
    Daemon = 3,
    TimeoutTcp = 4,
    TimeoutTcpFin = 5,
    TimeoutUdp = 6,
}

/// IPVS_SVC_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub enum ServiceAttribute {
    Af = 1,
    Protocol = 2,
    Addr = 3,
    Port = 4,
    Fwmark = 5,
    SchedName = 6,
    Flags = 7,
    Timeout = 8,
    Netmask = 9,
    Stats = 10,
    PeName = 11,
    Stats64 = 12,
}

/// IPVS_DEST_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub enum DestinationAttribute {
    Addr = 1,
    Port = 2,
    FwdMethod = 3,
    Weight = 4,
    UThresh = 5,
    LThresh = 6,
    ActiveConns = 7,
    InactConns = 8,
    PersistConns = 9,
    Stats = 10,
    AddrFamily = 11,
    Stats64 = 12,
    TunType = 13,
    TunPort = 14,
    TunFlags = 15,
}

/// IPVS_DAEMON_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub enum DaemonAttribute {
    State = 1,
    McastIfn = 2,
    SyncId = 3,
    SyncMaxLen = 4,
    McastGroup = 5,
    McastGroup6 = 6,
    McastPort = 7,
    McastTtl = 8,
}

/// IPVS_STATS_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub enum StatsAttribute {
    Conns = 1,
    Inpkts = 2,
    Outpkts = 3,
    Inbytes = 4,
    Outbytes = 5,
}

/// IPVS_INFO_ATTR_*.
#[neli_enum(serialized_type = "u16")]
pub enum InfoAttribute {
    Version = 1,
    ConnTabSize = 2,
}

/// Values inside attributes.
pub(super) mod flag {
    pub(crate) const AF_INET: u16 = 2;
    pub(crate) const AF_INET6: u16 = 10;

    /// IP_VS_SVC_F_*; 0x2 (HASHED) is the kernel's own.
    pub(crate) const PERSISTENT: u32 = 0x1;
    pub(crate) const ONE_PACKET: u32 = 0x4;
    pub(crate) const SCHED_1: u32 = 0x8;
    pub(crate) const SCHED_2: u32 = 0x10;
    pub(crate) const SCHED_3: u32 = 0x20;

    /// IP_VS_CONN_F_*.
    pub(crate) const FORWARD_MASQUERADING: u32 = 0;
    pub(crate) const FORWARD_LOCAL: u32 = 1;
    pub(crate) const FORWARD_TUNNEL: u32 = 2;
    pub(crate) const FORWARD_DIRECT_ROUTE: u32 = 3;

    /// IP_VS_CONN_F_TUNNEL_TYPE_*.
    pub(crate) const TUNNEL_IPIP: u8 = 0;
    pub(crate) const TUNNEL_GUE: u8 = 1;
    pub(crate) const TUNNEL_GRE: u8 = 2;

    /// IP_VS_STATE_*.
    pub(crate) const STATE_MASTER: u32 = 1;
    pub(crate) const STATE_BACKUP: u32 = 2;
}
