use std::future::Future;
use std::pin::Pin;

/// The future that the methods of the crate's ports return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
