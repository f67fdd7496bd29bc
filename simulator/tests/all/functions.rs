//! What functions are set to, their versions and aliases, as the SDK's own client sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::types::Environment;
use futures::future::join_all;
use serde_json::json;
use simulator::aws::lambda::{Alias, Function};

use crate::common::{WEST as HERE, World};

fn function() -> Function {
    Function {
        environment: BTreeMap::from([("COLOUR".to_owned(), "blue".to_owned())]),
        ..Function::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_functions_environment_is_replaced_as_a_whole_and_by_whoever_saw_it_last() {
    let world = World::new().await;
    let cloud = &world.cloud;
    cloud.lambda.create_function(HERE, "shop", function());
    let lambda = world.lambda(HERE);
    let seen = lambda.get_function().function_name("shop").send().await.unwrap();
    let seen = seen.configuration().unwrap();
    assert_eq!(seen.last_update_status().unwrap().as_str(), "Successful");
    let update = |revision: &str, variables: [(&str, &str); 1]| {
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::builder().set_variables(Some(variables.into())).build();
        lambda
            .update_function_configuration()
            .function_name("shop")
            .revision_id(revision)
            .environment(environment)
            .send()
    };
    let revision = seen.revision_id().unwrap().to_owned();
    let updated = update(&revision, [("SIZE", "big")]).await.unwrap();
    // What is not named is gone.
    let now = cloud.lambda.function(HERE, "shop").unwrap();
    assert_eq!(now.environment, BTreeMap::from([("SIZE".to_owned(), "big".to_owned())]));
    assert_eq!(updated.last_update_status().unwrap().as_str(), "InProgress");
    let code = |error: &dyn ProvideErrorMetadata| error.code().unwrap_or_default().to_owned();
    let next = updated.revision_id().unwrap().to_owned();
    let busy = update(&next, [("SIZE", "small")]).await.unwrap_err();
    assert_eq!(code(&busy), "ResourceConflictException");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let outdated = update(&revision, [("SIZE", "small")]).await.unwrap_err();
    assert_eq!(code(&outdated), "PreconditionFailedException");
    update(&next, [("SIZE", "small")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_version_stays_as_it_was_published_and_an_alias_leads_to_one() {
    let world = World::new().await;
    let cloud = &world.cloud;
    let with_alias = Function {
        versions: vec![BTreeMap::from([("COLOUR".to_owned(), "red".to_owned())])],
        aliases: BTreeMap::from([(
            "live".to_owned(),
            Alias {
                version: 1,
                weights: json!({}),
                changes: 0,
            },
        )]),
        served_through: Some("live".to_owned()),
        ..function()
    };
    cloud.lambda.create_function(HERE, "shop", with_alias);
    let lambda = world.lambda(HERE);
    let colour = || {
        let function = cloud.lambda.function(HERE, "shop").unwrap();
        function.environment_of_customers().unwrap()["COLOUR"].clone()
    };
    // `$LATEST` has another one already, and customers do not see it.
    assert_eq!(colour(), "red");
    let published = lambda.publish_version().function_name("shop").send().await.unwrap();
    assert_eq!(published.version().unwrap(), "2");
    let again = lambda.publish_version().function_name("shop").send().await.unwrap();
    assert_eq!(again.version().unwrap(), "2");
    assert_eq!(colour(), "red");
    let alias = lambda
        .get_alias()
        .function_name("shop")
        .name("live")
        .send()
        .await
        .unwrap();
    assert_eq!(alias.function_version().unwrap(), "1");
    let move_to = |version: &str, revision: &str| {
        let update = lambda.update_alias().function_name("shop").name("live");
        update.function_version(version).revision_id(revision).send()
    };
    let revision = alias.revision_id().unwrap();
    assert!(move_to("3", revision).await.is_err());
    move_to("2", revision).await.unwrap();
    assert_eq!(colour(), "blue");
    let outdated = move_to("1", revision).await.unwrap_err();
    assert_eq!(outdated.code(), Some("PreconditionFailedException"));
}

#[tokio::test(start_paused = true)]
async fn an_environment_whose_key_refuses_has_an_error_in_place_of_its_variables() {
    let world = World::new().await;
    let cloud = &world.cloud;
    let encrypted = Function {
        is_encrypted: true,
        ..function()
    };
    cloud.lambda.create_function(HERE, "shop", encrypted);
    let lambda = world.lambda(HERE);
    let seen = lambda
        .get_function_configuration()
        .function_name("shop")
        .send()
        .await
        .unwrap();
    let environment = seen.environment().unwrap();
    assert!(
        environment.error().is_some() && environment.variables().is_none(),
        "{environment:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn looks_at_functions_have_a_quota_of_their_own() {
    let world = World::new().await;
    let cloud = &world.cloud;
    cloud.lambda.create_function(HERE, "shop", function());
    let lambda = aws_sdk_lambda::Client::new(&world.aws.config_without_retries(Duration::from_secs(5)));
    let looks = join_all((0..60).map(|_| lambda.get_function().function_name("shop").send())).await;
    assert_eq!(looks.iter().filter(|look| look.is_ok()).count(), 60);
    let reads = (0..60).map(|_| lambda.get_function_configuration().function_name("shop").send());
    let reads = join_all(reads).await;
    assert_eq!(reads.iter().filter(|read| read.is_ok()).count(), 15);
}
