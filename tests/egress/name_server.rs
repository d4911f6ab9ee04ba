//! A scripted name server on loopback, over UDP and TCP on one port.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// The response to a query for a name.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These addresses, filtered by the queried type, with this TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The IPv4 loopback address, and no response to IPv6 queries.
    OnlyIpv4,
    /// These addresses after this delay.
    Late(Duration, Vec<IpAddr>),
    /// An error code such as NXDOMAIN.
    Code(ResponseCode),
    /// No response.
    Nothing,
    /// A CNAME without an address.
    Alias(String),
    /// This many addresses of 127.0.0.0/8; truncated over UDP.
    Many(u32),
    /// Truncated over UDP and TCP.
    AlwaysTruncated,
    /// A response with another query ID.
    WrongId,
    /// A response about another name.
    WrongName,
    /// The query ID, followed by garbage.
    Garbage,
    /// Fewer bytes than a query ID has.
    Short,
}

impl Reply {
    /// The loopback address.
    pub fn here() -> Reply {
        Reply::Addresses(vec![Ipv4Addr::LOCALHOST.into()], 60)
    }
}

type Script = dyn Fn(&str) -> Reply + Send + Sync;

/// The server. Dropping it stops it.
pub struct NameServer {
    pub address: SocketAddr,
    queries: Arc<Mutex<HashMap<String, usize>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl NameServer {
    /// Responds to queries by `script`, which gets the name without its trailing dot.
    pub async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> NameServer {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a TCP port");
            // The same port may be taken for UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("its address")).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("its address");
        let queries = Arc::new(Mutex::new(HashMap::new()));
        let script: Arc<Script> = Arc::new(script);
        let context = (script.clone(), queries.clone());
        let over_udp = tokio::spawn(async move {
            let udp = Arc::new(udp);
            let mut buffer = vec![0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                let (udp, query, (script, queries)) = (udp.clone(), buffer[..length].to_vec(), context.clone());
                tokio::spawn(async move {
                    if let Some(response) = respond(&query, &*script, &queries, false).await {
                        let _ = udp.send_to(&response, from).await;
                    }
                });
            }
        });
        let context = (script, queries.clone());
        let over_tcp = tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let (script, queries) = context.clone();
                tokio::spawn(async move { serve(stream, &*script, &queries).await });
            }
        });
        NameServer { address, queries, tasks: [over_udp, over_tcp] }
    }

    /// The number of IPv4 queries for this name over UDP.
    pub fn queries(&self, name: &str) -> usize {
        self.queries.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

async fn serve(mut stream: TcpStream, script: &Script, queries: &Mutex<HashMap<String, usize>>) -> Option<()> {
    loop {
        let mut query = vec![0; stream.read_u16().await.ok()?.into()];
        stream.read_exact(&mut query).await.ok()?;
        if let Some(response) = respond(&query, script, queries, true).await {
            stream.write_u16(response.len().try_into().ok()?).await.ok()?;
            stream.write_all(&response).await.ok()?;
        }
    }
}

async fn respond(query: &[u8], script: &Script, queries: &Mutex<HashMap<String, usize>>, tcp: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?.clone();
    let (name, kind) = (question.name().clone(), question.query_type());
    let text = name.to_ascii().trim_end_matches('.').to_lowercase();
    if kind == RecordType::A && !tcp {
        *queries.lock().unwrap().entry(text.clone()).or_default() += 1;
    }
    let id = query.metadata.id;
    let mut response = query.into_response();
    let record = |ip: IpAddr, ttl| Record::from_rdata(name.clone(), ttl, RData::from(ip));
    let of_kind = |ip: &IpAddr| (kind == RecordType::A) == ip.is_ipv4();
    match script(&text) {
        Reply::Addresses(ips, ttl) => {
            response.add_answers(ips.into_iter().filter(of_kind).map(|ip| record(ip, ttl)));
        }
        Reply::Late(after, ips) => {
            tokio::time::sleep(after).await;
            response.add_answers(ips.into_iter().filter(of_kind).map(|ip| record(ip, 60)));
        }
        Reply::Code(code) => response.metadata.response_code = code,
        Reply::Nothing => return None,
        Reply::OnlyIpv4 if kind == RecordType::AAAA => return None,
        Reply::OnlyIpv4 => {
            response.add_answer(record(Ipv4Addr::LOCALHOST.into(), 60));
        }
        Reply::Alias(other) => {
            let other = RData::CNAME(CNAME(Name::from_ascii(other).ok()?));
            response.add_answer(Record::from_rdata(name.clone(), 60, other));
        }
        Reply::Many(_) if !tcp => response.metadata.truncation = true,
        Reply::Many(count) if kind == RecordType::A => {
            let many = (0..count).map(|n| record(Ipv4Addr::from(0x7f40_0000 + n).into(), 60));
            response.add_answers(many);
        }
        Reply::Many(_) => {}
        Reply::AlwaysTruncated => response.metadata.truncation = true,
        Reply::WrongId => {
            response.add_answer(record(Ipv4Addr::LOCALHOST.into(), 60));
            response.metadata.id = !id;
        }
        Reply::WrongName => {
            response.queries[0].set_name(Name::from_ascii("other.test.").ok()?);
            response.add_answer(record(Ipv4Addr::LOCALHOST.into(), 60));
        }
        Reply::Garbage => return Some([&id.to_be_bytes()[..], &[0xff; 300]].concat()),
        Reply::Short => return Some(vec![7]),
    }
    response.to_vec().ok()
}
