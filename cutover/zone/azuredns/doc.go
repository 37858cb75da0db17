// Package azuredns changes records of a public zone of Azure DNS by Azure Resource Manager's REST API (2018-05-01).
//
// The unit of Azure DNS is the record set: all records of one type at one name. Each has an etag, which every update
// changes, and a write may demand one (page "Overview of DNS zones and records", section Etags):
//
//	create   PUT     If-None-Match: *      only where there is no such set
//	update   PUT     If-Match: the etag    only what was read
//	remove   DELETE  If-Match: the etag    only what was read
//
// A change within one set is one such request. There is no request for two sets: a change that needs several is refused
// unless a gap is declared, and then made in the order that keeps an answer for as long as can be.
//
// # The fence
//
// No request can demand that one set be unchanged and change another one. So the fence is written into the guarded sets
// themselves: into their metadata, which is a part of the set and has the same etag.
//
//	Claim   1  TXT beside the name: previous -> token, by its etag           one of two claims wins
//	        2  metadata of each set of the name: token, by the set's etag    what was read before can no longer be written
//	Swap    1  read the sets with their etags
//	        2  read the TXT: is it our token?
//	        3  write by the etags of 1
//
// A writer whose fence was taken over has read its sets before the new owner stamped them, and gets 412; or after, and
// then its second step sees the new token. The order of Swap's reads is what makes that so. What stays weak: a set that
// does not exist yet has no etag, so for its creation the fence is only read just before.
//
// # Several sets
//
// Where a gap is declared, the TXT also says in its metadata which change is under way, so that a run that was killed in
// between can be finished, or taken back, by calling Swap again:
//
//	addresses -> addresses   update both, create what is new, remove what is gone       never without an answer
//	addresses -> CNAME       remove the addresses, create the CNAME                     the name is without an answer
//	CNAME -> addresses       remove the CNAME, create the addresses                     the name is without an answer
//
// Metadata of others is kept. Record sets that follow an Azure resource (alias record sets) are not swapped.
package azuredns
