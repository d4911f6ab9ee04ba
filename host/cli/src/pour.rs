//! A file or a stream into the store, piece by piece, never whole in memory.

use bytes::BytesMut;
use sandbucket::{Upload, Written};

use crate::failure::Failure;
use crate::source::Source;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// Writes all that can be read of this source, and gives its length. `passed` is told of each piece that was read and taken; when
/// `stop` comes to its end before the source does, or the source changes meanwhile, nothing is written.
pub async fn pour(
    upload: Upload,
    mut source: Source,
    mut passed: impl FnMut(u64),
    stop: impl Future<Output = ()>,
) -> Result<(u64, Written), Failure> {
    let mut writer = upload.begin()?;
    let expected = source.length();
    let mut stop = std::pin::pin!(stop);
    let mut done = 0_u64;
    loop {
        let mut piece = BytesMut::with_capacity(CHUNK);
        let step = async {
            let length = source.read(&mut piece).await?;
            // One that grows as fast as it is read would have no end.
            if length == 0 || expected.is_some_and(|expected| done + length as u64 > expected) {
                source.check_unchanged().await?;
            }
            if length > 0 {
                writer.write(piece).await?;
            }
            Ok::<_, Failure>(length as u64)
        };
        let length = tokio::select! {
            length = step => length,
            () = &mut stop => Err(Failure::interrupted()),
        };
        match length {
            Ok(0) => return Ok((done, writer.finish().await?)),
            Ok(length) => {
                done += length;
                passed(length);
            }
            Err(failure) => {
                writer.abort().await;
                return Err(failure);
            }
        }
    }
}
