package network

import (
	"fmt"
)

// Server is what a migration is cut off from.
type Server string

// The servers of a migration.
const (
	BlueAPI    Server = "blue API server"
	GreenAPI   Server = "green API server"
	BlueStore  Server = "blue store"
	GreenStore Server = "green store"
	NameServer Server = "name server"
)

// Servers lists all.
func Servers() []Server { return []Server{BlueAPI, GreenAPI, BlueStore, GreenStore, NameServer} }

// Phase is a part of a migration, as the record of the journal at which it begins.
type Phase struct {
	Name string
	// At is a part of the record's line.
	At string
	// Back says that the phase is one of rollback, after a whole run.
	Back bool
}

// Phases lists all, in order.
func Phases() []Phase {
	return []Phase{
		{Name: "export", At: `"kind":"finished","stage":"preflight"`},
		{Name: "sync", At: `"kind":"finished","stage":"export"`},
		{Name: "restore", At: `"kind":"finished","stage":"provision"`},
		{Name: "ttl", At: `"kind":"planned","stage":"ttl"`},
		{Name: "freeze", At: `"kind":"planned","stage":"freeze/shop"`},
		{Name: "start", At: `"kind":"finished","stage":"final-sync/shop"`},
		{Name: "swap", At: `"kind":"planned","stage":"swap/shop"`},
		{Name: "soak", At: `"kind":"planned","stage":"soak/shop"`},
		{Name: "idle", At: `"kind":"planned","stage":"idle"`},
		{Name: "rollback", At: `"kind":"opened"`, Back: true},
	}
}

// Cut is one server cut off in one phase, in one way.
type Cut struct {
	Server Server
	Phase  Phase
	Mode   Mode
}

// String names a cut.
func (c Cut) String() string { return fmt.Sprintf("%s %s in %s", c.Server, c.Mode, c.Phase.Name) }

// Cuts lists every cut.
func Cuts() []Cut {
	var list []Cut
	for _, p := range Phases() {
		for _, s := range Servers() {
			for _, m := range Modes() {
				list = append(list, Cut{Server: s, Phase: p, Mode: m})
			}
		}
	}
	return list
}
