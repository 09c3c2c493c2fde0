//! The middleware: a layer, a service, its future and its body.

mod body;
mod builder;
mod future;
mod layer;
mod service;
mod tenant_keys_error;

pub use self::body::ResponseBody;
pub use self::builder::VerifyWebhookBuilder;
pub use self::future::ResponseFuture;
pub use self::layer::{Health, TenantHealth, VerifyWebhookLayer};
pub use self::service::VerifyWebhook;
pub use self::tenant_keys_error::TenantKeysError;
