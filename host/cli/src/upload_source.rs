//! Streams a file or other source into the store, never whole in memory.

use bytes::BytesMut;
use sandbucket::{Upload, Written};

use crate::failure::Failure;
use crate::source::Source;

/// Read size in bytes.
const CHUNK: usize = 1 << 20;

/// Writes everything from this source, and returns its length. Calls `passed` with each chunk that was read and accepted;
/// if `stop` resolves before the end of the source, or the source changes, nothing is written.
pub async fn upload_source(
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
            // A file that grows as fast as it is read would never end.
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
