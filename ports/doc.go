// Package ports decides which node ports green's Services get.
//
//	archive ─ Collect ─> wants ┐
//	green   ─ Learn ──> range, ├─ Input ─ Plan ─> Map old → new, notes, refusals ─> restore, env file
//	                    used   ┘
//	migration file ──> explicit┘
//
// Plan is pure: the same input gives the same map. A number belongs to one Service in the whole cluster; health checks of
// load balancers share the pool; one number serves TCP and UDP only within one Service. That is why a map from blue's numbers
// to green's is enough, and why it must be one to one.
package ports
