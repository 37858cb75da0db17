// Package bucket is the contract between the engine of bucketsync and the drivers of object stores.
//
// A driver implements Bucket for one provider and nothing else: retries of whole objects, throttling and faults are
// decorators or belong to the engine, and a provider's SDK appears in that provider's driver only. Every driver passes
// the suite in package buckettest.
//
//	engine ── Lister, Reader ──> driver of the source ──> store
//	       └─ Lister, Writer ──> driver of the destination ──> store
package bucket
