// Package azurednsfake is a FAKE of Azure DNS: one zone behind the part of Azure Resource Manager's REST API
// (2018-05-01) that record sets have. It is for tests. It enforces the rules that Microsoft documents and that a driver
// relies on; what only the service does, it does not show: how long servers take, when they throttle, what else they
// refuse.
//
// The rules, and where they are written:
//
//   - If-Match and If-None-Match of PUT and DELETE; every update gives a new etag: "Overview of DNS zones and records",
//     section Etags; "Record Sets - Create Or Update"; "Record Sets - Delete"
//   - a CNAME stands alone, and never at the apex; TTLs are from 1 to 2147483647; a TXT set holds 4096 characters;
//     metadata; record sets may be empty: the same overview
//   - SOA and NS of the apex cannot be deleted: the same overview
//   - pages of a listing, and their nextLink: "Record Sets - List All By Dns Zone"
//   - 429 with Retry-After: "Understand how Azure Resource Manager throttles requests"
//   - a resource lock: 409 ScopeLocked: "Lock your Azure resources to protect your infrastructure"
package azurednsfake
