// Package clouddnsfake is a fake of Google Cloud DNS's API (version 1), for tests: it is not the service, and what it shows is that a
// client keeps the rules below, not how the service behaves otherwise. It enforces what the service's documentation says:
//
//   - a change is made as a whole or not at all, and its deletions must match what is there exactly ("Changes", API reference): a
//     set that is not there is 404 notFound, one that is otherwise 412 conditionNotMet, an addition that is there 409
//     alreadyExists, a CNAME beside others cnameResourceRecordSetConflict ("Error messages");
//   - a set has data or a routing policy, not both; of a policy by weight each question gets one item, in proportion to its weight
//     among all, and no weight is negative ("ResourceRecordSet", API reference; "DNS routing policies and health checks");
//   - the apex keeps its SOA and NS; additions and deletions are at most 1,000 of each ("Quotas and limits");
//   - a change is pending, then done; the servers may show the old answer until then ("Changes"), and a listing has the new one at
//     once;
//   - listings come in pages, and a page token is good for the listing that it is from ("resourceRecordSets.list").
package clouddnsfake
