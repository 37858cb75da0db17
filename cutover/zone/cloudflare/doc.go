// Package cloudflare changes records of a zone at Cloudflare by its API v4, with an API token.
//
// A change is one request: POST /zones/ID/dns_records/batch. Cloudflare carries it out in one transaction of its
// database, in the order deletes, patches, puts, posts, and if one of them fails nothing is changed (page "Batch record
// changes"). What the transaction does not promise is written there too: each record spreads to Cloudflare's servers by
// itself. So the strength is weak, whatever the rest of this comment says.
//
// # Conditions
//
// The API knows no condition, but records have IDs, an ID is never given twice, and a batch that names one that is gone
// fails as a whole. That makes a condition of the fence: every change deletes the fence's record by its ID and makes it
// again, with the same text.
//
//	Claim   delete the record that holds previous, make one that holds our token   fails if somebody has taken it over,
//	                                                                               or has used it
//	Swap    delete the record that holds our token, make it again; patch the name  the same
//
// Of two writers that read the same fence only one batch goes through, and after a take-over none of the former owner's
// does. The first claim, which has no ID to name, makes a second record with a text that is always the same: Cloudflare
// refuses an identical record (error 81058), so that of two first claims one fails.
//
// Records are patched, so that they keep their IDs, their comments and tags, and whether they are proxied. A change
// without a fence deletes and makes them instead, with all of that copied, since their IDs are then the only condition.
//
// What stays weak: a patch names a record and not what it holds. Somebody who changes the record's content in the time
// between our reading and our batch, and does not know of the fence, is overwritten.
//
// # Proxied records
//
// For a proxied name Cloudflare's servers answer with addresses of Cloudflare, and pass requests on to what the record
// holds: the DNS shows no difference when it changes. The driver says so (zone.Proxier). The TTL of such a record is
// automatic, which the API writes as 1 and which is 300 s, and a change of it takes place within as long (page "Time to
// Live (TTL)"); so the driver gives it as 300, as it does with the automatic TTL of a record that is not proxied.
package cloudflare
