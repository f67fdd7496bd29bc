//! Serves the step as a Lambda function.

fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve::<flush_cache::FlushCache>()
}
