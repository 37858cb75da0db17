package rig

import (
	"context"
	"os"
)

// Info describes the rig.
func (r *Rig) Info() *Info {
	info := &Info{
		PID: os.Getpid(), Subnet: r.Network.Subnet.String(), Host: r.Network.Host.String(),
		Resolver: r.Names.Resolver.Addr().String(), Primary: r.Names.Primary.Addr().String(), Secondary: r.Names.Secondary.Addr().String(),
		S3: r.S3.Endpoint, Azure: r.Azure.Endpoint, Keys: r.path("keys"),
	}
	for _, side := range []*Side{r.Blue, r.Green} {
		info.Sides = append(info.Sides, *side.info())
	}
	return info
}

func (r *Rig) writeInfo(context.Context) error { return r.Info().write(r.path(infoFile)) }
