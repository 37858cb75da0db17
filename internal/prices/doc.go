// Package prices is a table of what object stores ask for requests, for bytes that leave them, and for reading what they
// have archived. It turns counts into an estimate, and says what it has no price for: unknown is never nothing (I8).
//
//	table.yaml (embedded), or a file of the user's ─> Table ─ Find(store) ─> Entry ─ counts ─> Estimate
//
// The figures are a help for planning, not an offer: each entry names the page and the day that it is from.
package prices
