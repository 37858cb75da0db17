// Package crossfade moves applications from a running blue cluster to a new green one, side by side, and fades traffic
// over one application at a time. An application that fails its checks goes back to blue by itself.
//
// It has one call for each verb of the command. A migration is declared in a file, planned as data, and recorded
// in a journal, so that a run that was killed goes on where it stopped:
//
//	file, err := crossfade.Load("migration.yaml")
//	m, err := crossfade.Open(file, crossfade.Options{OpenBucket: …, OpenZone: …})
//	defer m.Close()
//	report, err := m.Run(ctx)
//
// The order of a migration is one list, in pipeline.go. Every entry calls one step: export, bucketsync, provision, ports, restore
// or cutover. The steps know nothing of each other; what passes between them is the archive, the plan and the journal.
//
//	export ─ archive ─> restore ─> start        cutover: TTL ─> swap ─> soak ─> idle ─> certificate
//	   │                   ▲                                       │
//	   └ freeze, quiesce   │                                       └ breach: swap back, thaw blue
//	bucketsync ── warm ── final with proof
package crossfade
