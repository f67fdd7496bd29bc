//! Where items come from.

use std::rc::Rc;

use crate::errors::{TaskFailure, names};
use crate::host::Host;
use crate::storage::{ObjectCall, ObjectReader};

/// Where items come from: the place that `Arguments` name, and who reads it.
pub(crate) struct Place {
    pub host: Rc<dyn Host>,
    pub execution_arn: String,
    pub state_name: String,
    pub bucket: String,
    /// The key; for a listing, the prefix.
    pub key: String,
    pub version_id: Option<String>,
}

impl Place {
    pub(super) fn object(&self, bucket: &str, key: &str, version_id: Option<&str>) -> ObjectCall {
        ObjectCall {
            execution_arn: self.execution_arn.clone(),
            state_name: self.state_name.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: version_id.map(str::to_owned),
        }
    }

    pub(super) async fn open(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<Box<dyn ObjectReader>, TaskFailure> {
        let opened = self.host.get_object(self.object(bucket, key, version_id)).await;
        opened.map_err(|failure| reader_failed(&failure.to_string()))
    }
}

/// The error of a Map whose items cannot be read.
pub(super) fn reader_failed(why: &str) -> TaskFailure {
    TaskFailure::new(names::ITEM_READER_FAILED, why)
}
