package rig

import (
	"net/netip"

	"github.com/crossfade-project/crossfade/e2e/rig/balancer"
)

func (r *Rig) resolver() netip.Addr { return r.Network.Address(55) }

func (r *Rig) balancerNames() balancer.Names { return nil }
