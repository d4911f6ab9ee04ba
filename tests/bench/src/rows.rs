//! The rows: each is one kind of work, against one server, with a number of operations in flight.

use serde::{Deserialize, Serialize};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Size of a part of a large transfer, in bytes.
pub const PART: u64 = 8 * MIB;
/// Concurrent parts of a large transfer.
pub const PARTS_AT_ONCE: usize = 4;

/// Clients of the rows with many: tenants of one process.
const TENANTS: usize = 200;

/// The work of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Put {
        size: u64,
    },
    Get {
        size: u64,
    },
    Head,
    List {
        keys: u64,
    },
    /// In parts of [`PART`] bytes, [`PARTS_AT_ONCE`] concurrently.
    Upload {
        size: u64,
    },
    /// In ranges of [`PART`] bytes, [`PARTS_AT_ONCE`] concurrently.
    Download {
        size: u64,
    },
    /// A client created, used once, and dropped.
    Open {
        /// Whether each has an access key of its own.
        distinct: bool,
    },
    /// This many clients, each used once and kept. One operation is one client.
    Tenants {
        count: u64,
    },
    /// An instance of the plugin created without a store, and dropped.
    Instance,
    /// This many instances created and kept. One operation is one instance.
    Instances {
        count: u64,
    },
}

/// How a request signs its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The SHA-256 of the body is signed, as S3 requires without TLS.
    Signed,
    /// `UNSIGNED-PAYLOAD`: TLS protects the body without a second hash.
    Unsigned,
}

/// The server of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Looks like S3, and costs almost nothing.
    Memory,
    /// The same over TLS.
    MemoryTls,
    /// `s3s-fs`: verifies signatures, and stores files.
    Files,
}

/// The table of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    PutSigned,
    PutUnsigned,
    PutTls,
    Get,
    GetUnsigned,
    GetTls,
    Files,
    Large,
    Listing,
    Clients,
    Tenants,
}

impl Group {
    pub fn title(self) -> &'static str {
        match self {
            Group::PutSigned => "PUT over http, payload signed",
            Group::PutUnsigned => "PUT over http, payload unsigned",
            Group::PutTls => "PUT over TLS",
            Group::Get => "GET over http, payload signing on",
            Group::GetUnsigned => "GET over http, payload signing off",
            Group::GetTls => "GET over TLS",
            Group::Files => "A server that verifies signatures and keeps files (s3s-fs)",
            Group::Large => "1 GiB in parts of 8 MiB, 4 at once, on 2 threads",
            Group::Listing => "HEAD and lists",
            Group::Clients => "Clients opened and held",
            Group::Tenants => "Many clients at once, on 2 threads, beside one",
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name on the command line, such as `put-1KiB-c16-signed`.
    pub name: String,
    pub group: Group,
    /// The title in the group's table.
    pub title: String,
    pub work: Work,
    pub payload: Payload,
    pub service: Service,
    pub in_flight: usize,
    /// Clients that the operations are spread over, by Zipf's law.
    pub clients: usize,
    /// Threads of the runtime, if fixed by the row.
    pub threads: Option<usize>,
    /// Whether `--quick` includes it.
    pub quick: bool,
}

impl Row {
    /// The row of this name.
    pub fn named(name: &str) -> Option<Row> {
        all().into_iter().find(|row| row.name == name)
    }

    /// Bytes of blobs that one operation transfers.
    pub fn bytes(&self) -> u64 {
        match self.work {
            Work::Put { size } | Work::Get { size } | Work::Upload { size } | Work::Download { size } => size,
            Work::Head | Work::List { .. } => 0,
            Work::Open { .. } | Work::Tenants { .. } | Work::Instance | Work::Instances { .. } => 0,
        }
    }
}

/// All rows in the order of the report.
pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for (payload, service, group) in [
        (Payload::Signed, Service::Memory, Group::PutSigned),
        (Payload::Unsigned, Service::Memory, Group::PutUnsigned),
        (Payload::Unsigned, Service::MemoryTls, Group::PutTls),
    ] {
        rows.extend(transfers(|size| Work::Put { size }, payload, service, group));
    }
    // One number in flight shows the cost of signing on top of TLS as well as three.
    let mut both = transfers(|size| Work::Put { size }, Payload::Signed, Service::MemoryTls, Group::PutTls);
    both.retain(|row| row.in_flight == 16);
    rows.extend(both);
    for (payload, service, group) in [
        (Payload::Signed, Service::Memory, Group::Get),
        (Payload::Unsigned, Service::Memory, Group::GetUnsigned),
        (Payload::Unsigned, Service::MemoryTls, Group::GetTls),
    ] {
        rows.extend(transfers(|size| Work::Get { size }, payload, service, group));
    }
    for work in [Work::Put { size: KIB }, Work::Put { size: MIB }, Work::Get { size: KIB }, Work::Get { size: MIB }] {
        rows.push(row(work, Payload::Signed, Service::Files, Group::Files, 16));
    }
    for (work, payload, service) in [
        (Work::Upload { size: GIB }, Payload::Signed, Service::Memory),
        (Work::Upload { size: GIB }, Payload::Unsigned, Service::Memory),
        (Work::Upload { size: GIB }, Payload::Unsigned, Service::MemoryTls),
        (Work::Download { size: GIB }, Payload::Unsigned, Service::Memory),
        (Work::Download { size: GIB }, Payload::Unsigned, Service::MemoryTls),
    ] {
        rows.push(Row { threads: Some(2), ..row(work, payload, service, Group::Large, 1) });
    }
    rows.push(row(Work::Head, Payload::Unsigned, Service::Memory, Group::Listing, 1));
    rows.push(row(Work::Head, Payload::Unsigned, Service::Memory, Group::Listing, 16));
    for keys in [1_000, 100_000] {
        rows.push(row(Work::List { keys }, Payload::Unsigned, Service::Memory, Group::Listing, 1));
    }
    for distinct in [false, true] {
        rows.push(row(Work::Open { distinct }, Payload::Unsigned, Service::Memory, Group::Clients, 1));
    }
    for count in [1, 100, 1_000] {
        rows.push(row(Work::Tenants { count }, Payload::Unsigned, Service::Memory, Group::Clients, 1));
    }
    for work in [Work::Instance, Work::Instances { count: 1_000 }] {
        rows.push(row(work, Payload::Unsigned, Service::Memory, Group::Clients, 1));
    }
    for work in [Work::Put { size: KIB }, Work::Get { size: KIB }] {
        for clients in [1, TENANTS] {
            let row = row(work, Payload::Unsigned, Service::Memory, Group::Tenants, 64);
            let (name, title) = (format!("{}-of-{clients}", row.name), format!("{}, {clients} open", row.title));
            rows.push(Row { name, title, clients, threads: Some(2), quick: true, ..row });
        }
    }
    rows
}

/// The usual sizes with the usual numbers in flight.
fn transfers(work: impl Fn(u64) -> Work, payload: Payload, service: Service, group: Group) -> Vec<Row> {
    let mut rows = Vec::new();
    for size in [KIB, 64 * KIB, MIB, 16 * MIB] {
        rows.extend([1, 16, 64].map(|in_flight| row(work(size), payload, service, group, in_flight)));
    }
    rows
}

fn row(work: Work, payload: Payload, service: Service, group: Group, in_flight: usize) -> Row {
    let (name, title) = match work {
        Work::Put { size } => (format!("put-{}-c{in_flight}", short(size)), format!("PUT {}", spelt(size))),
        Work::Get { size } => (format!("get-{}-c{in_flight}", short(size)), format!("GET {}", spelt(size))),
        Work::Head => (format!("head-c{in_flight}"), "HEAD".to_owned()),
        Work::List { keys } => (format!("list-{keys}"), format!("list of {} keys", thousands(keys))),
        Work::Upload { size } => (format!("upload-{}", short(size)), format!("upload {}", spelt(size))),
        Work::Download { size } => (format!("download-{}", short(size)), format!("download {}", spelt(size))),
        Work::Open { distinct: false } => ("open".to_owned(), "open, GET 1 KiB, close".to_owned()),
        Work::Open { distinct: true } => ("open-distinct".to_owned(), "the same, each with its own keys".to_owned()),
        Work::Tenants { count } => {
            (format!("tenants-{count}"), format!("{} open at once, each used once", thousands(count)))
        }
        Work::Instance => ("instance".to_owned(), "an instance made and dropped".to_owned()),
        Work::Instances { count } => {
            (format!("instances-{count}"), format!("{} instances made and kept", thousands(count)))
        }
    };
    // Rows without a body, and rows measured in only one way, need no suffix.
    let plain = !matches!(work, Work::Put { .. } | Work::Get { .. } | Work::Upload { .. } | Work::Download { .. });
    let (payload_name, payload_title) = match payload {
        Payload::Signed => ("-signed", ", signed"),
        Payload::Unsigned => ("-unsigned", ", unsigned"),
    };
    let (service_name, service_title) = match service {
        Service::Memory => ("", ""),
        Service::MemoryTls => ("-tls", ", TLS"),
        Service::Files => ("-files", ""),
    };
    let title = if in_flight > 1 { format!("{title}, {in_flight} in flight") } else { title };
    let named = match (plain, service) {
        (true, _) => (name, title),
        (false, Service::Files) => (format!("{name}{service_name}"), title),
        (false, _) if group == Group::Large => {
            (format!("{name}{service_name}{payload_name}"), format!("{title}{service_title}{payload_title}"))
        }
        (false, Service::MemoryTls) => {
            (format!("{name}{service_name}{payload_name}"), format!("{title}{payload_title}"))
        }
        (false, Service::Memory) => (format!("{name}{payload_name}"), title),
    };
    let small = matches!(work, Work::Put { size } | Work::Get { size } if size < MIB);
    let quick = small && in_flight == 16 && service == Service::Memory;
    let (name, title) = named;
    Row { name, group, title, work, payload, service, in_flight, clients: 1, threads: None, quick }
}

/// A size in a row's name: `64KiB`.
fn short(bytes: u64) -> String {
    spelt(bytes).replace(' ', "")
}

/// A size for display: `64 KiB`.
pub fn spelt(bytes: u64) -> String {
    match bytes {
        GIB.. => format!("{} GiB", bytes / GIB),
        MIB.. => format!("{} MiB", bytes / MIB),
        KIB.. => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} B"),
    }
}

/// A count for display: `100,000`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut spelt = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            spelt.push(',');
        }
        spelt.push(digit);
    }
    spelt
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{all, thousands};

    #[test]
    fn row_names_are_unique() {
        let rows = all();
        let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len());
        assert!(names.contains("put-1KiB-c16-signed") && names.contains("download-1GiB-unsigned"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([7, 999, 1_000, 1_234_567].map(thousands), ["7", "999", "1,000", "1,234,567"]);
    }
}
