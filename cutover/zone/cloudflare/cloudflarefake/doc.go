// Package cloudflarefake is a FAKE of Cloudflare: one zone behind the part of the API v4 that DNS records have. It is for
// tests. It enforces the rules that Cloudflare documents and that a driver relies on; what only the service does, it does
// not show: how long a change takes to spread, what else it refuses.
//
// The rules, and where they are written:
//
//   - a batch is one transaction: deletes, patches, puts, posts, in this order; the first error is returned and nothing is
//     changed; at most 200 records in a Free zone: "Batch record changes"
//   - A and AAAA beside a CNAME, and two CNAMEs, are refused: "Records with the same name". Other types beside a CNAME are
//     not
//   - TTLs are from 60 to 86400, or 1 for automatic; a proxied record's is automatic, which is 300 s: "Time to Live (TTL)"
//   - A, AAAA and CNAME can be proxied; then the servers answer with addresses of Cloudflare: "Proxy status"
//   - 1200 requests in 5 min, after which everything is answered with 429 for the next 5 min: "Rate limits"
//   - pages, and result_info: API reference, "List DNS Records"
//
// The codes of errors (81044 for a record that does not exist, 81053 and 81054 for a CNAME's company, 81058 for an
// identical record, 9021 for a TTL, 10000 for a token) are those that Cloudflare is seen to answer with; its pages do not
// list them.
package cloudflarefake
