// Package route53fake is a fake of Amazon Route 53's API, for tests: it is not the service, and what it shows is that a client keeps the
// rules below, not how the service behaves otherwise. It enforces what the service's documentation says:
//
//   - a batch is made as a whole or not at all, its changes in their order; a DELETE must hold the values and the TTL that are
//     there ("ChangeResourceRecordSets", API reference);
//   - no set beside a CNAME, no simple set beside ones with a routing policy, no CNAME at the apex ("Supported DNS record types",
//     "Choosing a routing policy", Developer Guide);
//   - sets of one name and type have one routing policy; a weighted set has one record and a weight from 0 to 255, all of a group
//     the same TTL; a question gets one of them in proportion to its weight, and each as often where all weights are 0
//     ("ResourceRecordSet", API reference);
//   - at most 1,000 records and 32,000 characters of values in a batch; five requests a second for an account, and
//     PriorRequestNotComplete while another change of the zone is under way ("Quotas", Developer Guide);
//   - a change is PENDING until every server has it: Served gives the old answer until then, a listing the new one at once
//     ("GetChange", "ListResourceRecordSets", API reference);
//   - listings in the order of the names with their labels reversed, in pages; names with octal escapes ("DNS domain name
//     format", Developer Guide).
package route53fake
