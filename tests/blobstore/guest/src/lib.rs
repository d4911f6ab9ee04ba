//! A component that uses `wasi:blobstore` on request: one export for each thing that the tests have it do.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({
    path: "wit",
    world: "guest",
    generate_all,
});

use exports::sandbucket::blobstore_guest::acts::{Guest, Kind, Manner, Object};
use wasi::blobstore::blobstore;
use wasi::blobstore::container::Container;
use wasi::blobstore::types::{IncomingValue, ObjectId, OutgoingValue};
use wasi::io::streams::{OutputStream, StreamError};

struct Acts;

export!(Acts);

type Outcome<T> = Result<T, String>;

fn open(container: &str) -> Outcome<Container> {
    blobstore::get_container(container)
}

fn of(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}

/// Writes all of the bytes as the stream takes them.
fn pour(stream: &OutputStream, mut body: &[u8]) -> Outcome<()> {
    while !body.is_empty() {
        let permit = stream.check_write().map_err(of)?;
        if permit == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, rest) = body.split_at(body.len().min(permit as usize));
        stream.write(now).map_err(of)?;
        body = rest;
    }
    stream.flush().map_err(of)
}

fn pour_pattern(stream: &OutputStream, size: u64) -> Outcome<()> {
    let pattern: Vec<u8> = (0..251 * 200).map(|n| (n % 251) as u8).collect();
    let mut left = size as usize;
    while left > 0 {
        let now = left.min(pattern.len());
        pour(stream, &pattern[..now])?;
        left -= now;
    }
    Ok(())
}

fn ids(containers: (String, String), objects: (String, String)) -> (ObjectId, ObjectId) {
    (ObjectId { container: containers.0, object: objects.0 }, ObjectId { container: containers.1, object: objects.1 })
}

impl Guest for Acts {
    fn create(container: String) -> Outcome<()> {
        blobstore::create_container(&container).map(drop)
    }

    fn delete(container: String) -> Outcome<()> {
        blobstore::delete_container(&container)
    }

    fn exists(container: String) -> Outcome<bool> {
        blobstore::container_exists(&container)
    }

    fn info(container: String) -> Outcome<(String, String, u64)> {
        let container = open(&container)?;
        let info = container.info()?;
        Ok((container.name()?, info.name, info.created_at))
    }

    fn clear(container: String) -> Outcome<()> {
        open(&container)?.clear()
    }

    fn write(container: String, object: String, body: Vec<u8>) -> Outcome<()> {
        let container = open(&container)?;
        let value = OutgoingValue::new_outgoing_value();
        container.write_data(&object, &value)?;
        let stream = value.outgoing_value_write_body().map_err(|()| "no stream")?;
        for piece in body.chunks(4096) {
            stream.blocking_write_and_flush(piece).map_err(of)?;
        }
        drop(stream);
        OutgoingValue::finish(value)
    }

    fn write_pattern(container: String, object: String, size: u64, manner: Manner) -> Outcome<()> {
        let container = open(&container)?;
        let value = OutgoingValue::new_outgoing_value();
        let stream = value.outgoing_value_write_body().map_err(|()| "no stream")?;
        if matches!(manner, Manner::AssignedFirst | Manner::Dropped) {
            container.write_data(&object, &value)?;
        }
        pour_pattern(&stream, size)?;
        if matches!(manner, Manner::BodyFirst) {
            container.write_data(&object, &value)?;
        }
        drop(stream);
        if matches!(manner, Manner::Dropped) {
            return Ok(());
        }
        OutgoingValue::finish(value)
    }

    fn write_twice(container: String, object: String) -> Outcome<Vec<String>> {
        let container = open(&container)?;
        let value = OutgoingValue::new_outgoing_value();
        let stream = value.outgoing_value_write_body();
        let mut errors = Vec::new();
        if value.outgoing_value_write_body().is_err() {
            errors.push("the stream is taken".to_owned());
        }
        container.write_data(&object, &value)?;
        errors.extend(container.write_data("another", &value).err());
        drop(stream);
        OutgoingValue::finish(value)?;
        Ok(errors)
    }

    fn write_idle(container: String, object: String) -> Outcome<(String, String)> {
        let container = open(&container)?;
        let value = OutgoingValue::new_outgoing_value();
        container.write_data(&object, &value)?;
        let stream = value.outgoing_value_write_body().map_err(|()| "no stream")?;
        pour(&stream, b"x")?;
        let error = loop {
            match stream.check_write() {
                // Other tasks of the host run meanwhile.
                Ok(_) => drop(container.has_object(&object)?),
                Err(error) => break of(error),
            }
        };
        drop(stream);
        match OutgoingValue::finish(value) {
            Ok(()) => Err("finish succeeded".to_owned()),
            Err(last) => Ok((error, last)),
        }
    }

    fn drop_early() {
        let value = OutgoingValue::new_outgoing_value();
        let stream = value.outgoing_value_write_body();
        drop(value);
        drop(stream);
    }

    fn read(container: String, object: String, start: u64, end: u64) -> Outcome<Vec<u8>> {
        let value = open(&container)?.get_data(&object, start, end)?;
        let size = value.size();
        let bytes = IncomingValue::incoming_value_consume_sync(value)?;
        if size != bytes.len() as u64 {
            Err(format!("the size is {size}, and {} bytes came", bytes.len()))
        } else {
            Ok(bytes)
        }
    }

    fn read_pattern(container: String, object: String) -> Outcome<(u64, u64, bool)> {
        let value = open(&container)?.get_data(&object, 0, u64::MAX)?;
        let size = value.size();
        let stream = IncomingValue::incoming_value_consume_async(value)?;
        let (mut count, mut same) = (0, true);
        loop {
            match stream.blocking_read(50_000) {
                Ok(bytes) => {
                    same &= bytes.iter().zip(count..).all(|(byte, n)| u64::from(*byte) == n % 251);
                    count += bytes.len() as u64;
                }
                Err(StreamError::Closed) => return Ok((size, count, same)),
                Err(error) => return Err(of(error)),
            }
        }
    }

    fn names(container: String, skip: u64, count: u64) -> Outcome<(u64, Vec<Vec<String>>)> {
        let listing = open(&container)?.list_objects()?;
        let (skipped, mut end) = listing.skip_stream_object_names(skip)?;
        let mut pages = Vec::new();
        while !end {
            let (names, last) = listing.read_stream_object_names(count)?;
            if names.is_empty() && !last {
                return Err("an empty page that is not the last".to_owned());
            }
            pages.push(names);
            end = last;
        }
        Ok((skipped, pages))
    }

    fn delete_objects(container: String, objects: Vec<String>) -> Outcome<()> {
        open(&container)?.delete_objects(&objects)
    }

    fn delete_object(container: String, object: String) -> Outcome<()> {
        open(&container)?.delete_object(&object)
    }

    fn has_object(container: String, object: String) -> Outcome<bool> {
        open(&container)?.has_object(&object)
    }

    fn object_info(container: String, object: String) -> Outcome<Object> {
        let info = open(&container)?.object_info(&object)?;
        Ok(Object { name: info.name, container: info.container, created_at: info.created_at, size: info.size })
    }

    fn copy(containers: (String, String), objects: (String, String)) -> Outcome<()> {
        let (from, to) = ids(containers, objects);
        blobstore::copy_object(&from, &to)
    }

    fn relocate(containers: (String, String), objects: (String, String)) -> Outcome<()> {
        let (from, to) = ids(containers, objects);
        blobstore::move_object(&from, &to)
    }

    fn hoard(kind: Kind, container: String, object: String, count: u32) -> Outcome<()> {
        let one = open(&container)?;
        match kind {
            Kind::Containers => (0..count).map(|_| open(&container)).collect::<Outcome<Vec<_>>>().map(drop),
            Kind::Listings => (0..count).map(|_| one.list_objects()).collect::<Outcome<Vec<_>>>().map(drop),
            Kind::IncomingValues => {
                (0..count).map(|_| one.get_data(&object, 0, u64::MAX)).collect::<Outcome<Vec<_>>>().map(drop)
            }
            Kind::OutgoingValues => {
                drop((0..count).map(|_| OutgoingValue::new_outgoing_value()).collect::<Vec<_>>());
                Ok(())
            }
        }
    }
}
