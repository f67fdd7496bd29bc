//! What each name in a plan looks like, in words. The schema carries these as `patternErrorMessage`, which editors and
//! `drctl plan check` show in place of a regular expression.

pub(super) const WORKLOAD: &str =
    "a workload's name is 1 to 31 lower-case letters, digits and hyphens, and begins with a letter";
pub(super) const ACCOUNT: &str = "an AWS account is 12 digits";
pub(super) const REGION: &str = "a Region is written like us-east-1";
pub(super) const CLUSTER: &str = "a cluster's identifier is 1 to 63 lower-case letters, digits and hyphens (RDS stores it in lower \
     case); it begins with a letter, does not end with a hyphen and has no two hyphens in a row";
pub(super) const SECRET: &str = "a secret's ARN is written like \
     arn:aws:secretsmanager:us-east-1:123456789012:secret:name-AbCdEf, with the six characters that Secrets Manager added";
pub(super) const TOPIC: &str = "a topic's name (not its ARN) is 1 to 256 letters, digits, hyphens and underscores";
pub(super) const BUCKET: &str = "a bucket's name is 3 to 63 lower-case letters, digits, hyphens and dots, and begins and ends with \
     a letter or digit";
pub(super) const USER_POOL: &str =
    "a user pool's id is its Region, an underscore, and letters and digits, like us-east-1_AbCdEfGhI";
pub(super) const CACHE: &str = "a replication group's identifier is 1 to 40 lower-case letters, digits and hyphens; it begins with \
     a letter, does not end with a hyphen and has no two hyphens in a row";
pub(super) const ENDPOINT: &str =
    "an endpoint is a host in lower case, a colon and a port, like master.cache.abc123.use1.cache.amazonaws.com:6379";
pub(super) const SUBNET: &str = "a subnet's identifier is written like subnet-0a1b2c3d4e5f60718";
pub(super) const SECURITY_GROUP: &str = "a security group's identifier is written like sg-0a1b2c3d4e5f60718";
pub(super) const REST_API: &str = "a REST API's identifier is 10 lower-case letters and digits";
pub(super) const STAGE: &str = "a stage is 1 to 128 letters, digits, hyphens and underscores";
pub(super) const DOMAIN: &str = "a domain name is lower-case letters, digits and hyphens in parts of 1 to 63 joined by dots, 253 \
     characters at most, like api.example.com; no https:// before it and no dot after it";
pub(super) const DATABASE: &str =
    "a database's name is 1 to 63 letters, digits and underscores, and does not begin with a digit";
pub(super) const SCHEMA: &str =
    "a schema's name is 1 to 63 lower-case letters, digits and underscores, and does not begin with a digit";
pub(super) const FUNCTION: &str = "a function's name (not its ARN) is 1 to 64 letters, digits, hyphens and underscores";
pub(super) const ALIAS: &str = "an alias is 1 to 128 letters, digits, hyphens and underscores";
pub(super) const SHORT_NAME: &str =
    "a name is 1 to 40 lower-case letters, digits and hyphens, and begins and ends with a letter or digit";
pub(super) const HOSTED_ZONE: &str =
    "a hosted zone's id is a Z and 1 to 31 capital letters and digits, without /hostedzone/ before it";
pub(super) const OBJECT_KEY: &str =
    "the key is 1 to 512 letters, digits, dots, hyphens, underscores and slashes, and does not begin with a slash";
pub(super) const HEALTH_CHECK: &str =
    "a health check's id is written like 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0, in lower case";
pub(super) const URL: &str =
    "the address begins with https://, then a host in lower case and a path; no port, user or query";
pub(super) const METRIC: &str =
    "namespaces and metrics are 1 to 255 letters, digits and . - _ / # :, and do not begin with a colon";
pub(super) const TABLE: &str =
    "a table's name (not its ARN) is 3 to 255 letters, digits, dots, hyphens and underscores";
pub(super) const EMAIL: &str = "an e-mail address is written like dr@example.com";
