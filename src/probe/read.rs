//! Reading what servers say. Thousands are asked at a time and most of them are waited for: a piece of
//! memory to read into is had only while something is read, by all on a thread in turn.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that are read at once.
const READ_MAX: usize = 8 * 1024;

thread_local! {
    static PIECE: Cell<Box<[u8]>> = Cell::default();
}

/// Reads once, as much as is there, and hands it to `take`; nothing at all is the end.
///
/// # Errors
/// The stream's.
pub(super) async fn read<S, T>(
    stream: &mut S,
    mut take: impl FnMut(&[u8]) -> T,
) -> Result<T, io::Error>
where
    S: AsyncRead + Unpin,
{
    poll_fn(|context| {
        let mut piece = PIECE.take();
        if piece.is_empty() {
            piece = vec![0; READ_MAX].into_boxed_slice();
        }
        let mut came = ReadBuf::new(&mut piece);
        let polled = Pin::new(&mut *stream).poll_read(context, &mut came);
        let taken = polled.map_ok(|()| take(came.filled()));
        PIECE.set(piece);
        Poll::Ready(ready!(taken))
    })
    .await
}
