//! Serves the step as a Lambda function.

fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve::<prepare_database::PrepareDatabase>()
}
