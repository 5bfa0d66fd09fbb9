//! Reads the JSON schema that a Glance publishes for image records.

use glance_core::record_schema::Schema;
use glance_core::transport::briefly;
use http::Method;
use serde_json::Value;

use super::request::{Client, Operation};

/// Reads the schema from the Glance of `client`; `None` if that fails. Makes one request with a
/// short timeout: without a schema, Glance itself validates the records.
pub(crate) async fn read(client: &Client) -> Option<Schema> {
    let operation = Operation { what: "read the schema of images", image: None };
    let client = client.optional();
    let answer = briefly(client.json(Method::GET, "/v2/schemas/image", None, &operation)).await;
    let why = match answer {
        Some(Ok(Value::Object(document))) => return Some(Schema::of(&document)),
        Some(Ok(_)) => "the response is not a Glance response".to_owned(),
        Some(Err(error)) => error.to_string(),
        None => "no response in time".to_owned(),
    };
    tracing::info!("cannot read the image schema of {client}: {why}");
    None
}
