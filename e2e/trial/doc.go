// Package trial runs many small migrations side by side in one light world, so that each may be killed, cut off or taken
// back, and compared with one that was not.
//
//	World   two API servers with controllers (1.28 and 1.36), nodes and pods played by kwok, an S3 server,
//	        two name servers and a resolver; stand-ins answer for what runs in pods, and for balancers
//	  └─ Trial   namespaces, names, buckets, migration file and state directory of its own, named after it
//	       ├─ Run          the built command, with faults and a clock that runs faster
//	       ├─ Fingerprint  everything that the trial's migration could have touched, on both sides
//	       └─ Blue         the same of blue alone
//
// Fingerprints of two trials are equal when their worlds are: what is left out is listed in normal.go, and nothing else is.
package trial
