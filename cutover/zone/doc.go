// Package zone says what Crossfade asks of whoever serves a DNS zone: read a record, replace it in one change, and
// hold the fence that keeps a stale writer out.
//
//	Probe    does the server refuse a change whose condition is false?          changes nothing
//	  |
//	Claim    write the fence: a TXT beside the name, with a token of ours       once for each name
//	  |
//	Swap     old -> new in one change, on condition that the name still holds   lower the TTL, move to green,
//	  |      exactly old and the fence still holds our token                    move back, restore the TTL
//	  |
//	Release  remove the fence
//
// A name is never without an answer (I2): Swap is one change, and where a provider has no such thing its Strength says
// so. A change of TTL is a Swap with the same data.
//
// Drivers live below this package; zonetest holds the rules that each of them must pass.
package zone
