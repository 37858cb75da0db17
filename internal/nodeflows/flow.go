package nodeflows

import (
	"net/netip"
	"time"
)

// Format is the version of the summary line.
const Format = 1

// Flow is one tracked connection.
type Flow struct {
	// Protocol is "tcp", "udp", "sctp", "icmp", "icmpv6" or the protocol's number.
	Protocol   string     `json:"protocol"`
	Source     netip.Addr `json:"source"`
	SourcePort uint16     `json:"sourcePort,omitempty"`
	// Destination is where the client sent its first packet: a load balancer's address, a node's, a Service's.
	Destination     netip.Addr `json:"destination"`
	DestinationPort uint16     `json:"destinationPort,omitempty"`
	// Backend is who answers, after address translation.
	Backend     netip.Addr `json:"backend"`
	BackendPort uint16     `json:"backendPort,omitempty"`
	// State is the state of a TCP connection as connection tracking sees it (ESTABLISHED, TIME_WAIT, …), when it was last
	// seen. Empty for other protocols.
	State string `json:"state,omitempty"`
	// TimeStart is when the connection began, where the node's kernel records it (net.netfilter.nf_conntrack_timestamp).
	TimeStart time.Time `json:"timeStart,omitzero"`
}

// Key tells one connection from another.
type Key struct {
	Protocol            string
	Source, Destination netip.AddrPort
}

// Key returns the flow's key. A client that uses the same port again has the same key.
func (f Flow) Key() Key {
	return Key{
		Protocol:    f.Protocol,
		Source:      netip.AddrPortFrom(f.Source, f.SourcePort),
		Destination: netip.AddrPortFrom(f.Destination, f.DestinationPort),
	}
}

// Open reports whether the connection may still carry requests. Connections without states are open as long as they are
// tracked.
func (f Flow) Open() bool {
	switch f.State {
	case "FIN_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE":
		return false
	}
	return true
}

// Report is what was seen on one node between two times.
type Report struct {
	Format int       `json:"format"`
	Node   string    `json:"node,omitempty"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	// Looks is how often the table was read.
	Looks int `json:"looks"`
	// Count is the number of flows.
	Count int `json:"count"`
	// Flows were seen by at least one look, each with its last state.
	Flows []Flow `json:"-"`
}
