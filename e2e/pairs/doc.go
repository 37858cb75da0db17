// Package pairs holds every provider against every other: one corpus of hostile keys and properties is copied between all 25
// ordered pairs of s3, minio, gcs, azure and file, over real servers and emulators, and read back by clients that share no code with
// the drivers.
//
//	corpus ── client of the source ──> source ── bucketsync ──> destination ── client of the destination ──> compared
//	             (another SDK, or plain HTTP)      plan, ledger                    bytes, every property
//
// What the destination cannot hold must be named by the plan's refusals, and every property that is not the same must be in the
// ledger of losses. What no server at home holds (a/b beside a on S3, directories of an Azure account) goes between a fake that does
// and each provider.
//
// The tables of docs/buckets.md are what was seen; run the test with -update after a change that is meant.
package pairs
