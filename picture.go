package crossfade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
)

// PictureOptions say which names are looked at, and how.
type PictureOptions struct {
	// Names are hostnames or applications; empty means every hostname of the file. A hostname need not be the file's as long as
	// one of its zones holds it.
	Names []string
	// NoClusters asks neither cluster.
	NoClusters bool
}

// Pictures are what was read about names.
type Pictures struct {
	Migration string    `json:"migration"`
	At        time.Time `json:"at"`
	// Complete is false where anything could not be read; the names say what.
	Complete bool              `json:"complete"`
	Names    []cutover.Picture `json:"names"`
}

// Picture reads everything about names that their cutover depends on. It changes nothing and needs no cluster for what the file
// and the name servers say: what cannot be read is part of the picture.
func (m *Migration) Picture(ctx context.Context, opts PictureOptions) (*Pictures, error) {
	zones, err := m.zoneOptions(ctx, "inspect")
	if err != nil {
		return nil, err
	}
	silent := map[string]error{}
	if !opts.NoClusters {
		zones.Blue = m.reachableSide(ctx, Blue, silent)
		zones.Green = m.reachableSide(ctx, Green, silent)
		zones.Green.Namespaces = m.file.Maps.Namespaces
	}
	depict := cutover.DepictOptions{Options: zones, Names: opts.Names, NoClusters: opts.NoClusters}
	if depict.Moved, depict.Moving, err = m.movedApps(); err != nil {
		silent["journal"] = err // a name that was moved then looks like somebody else's doing
	}
	if len(depict.Moving) > 0 {
		ttl, err := m.held()
		if err != nil {
			silent["journal"] = err
		}
		depict.Held = ttl.Names
	}
	found, err := cutover.Depict(ctx, depict)
	var unknown *cutover.NoNameError
	if errors.As(err, &unknown) {
		return nil, m.unknownName(unknown.Name)
	}
	if err != nil {
		return nil, err
	}
	p := &Pictures{Migration: m.file.Name, At: m.opts.Clock.Now().UTC(), Complete: true, Names: found}
	for i := range p.Names {
		for _, side := range []string{Blue, Green, "journal"} {
			if err := silent[side]; err != nil && p.Names[i].App != "" {
				p.Names[i].Unread = append(p.Names[i].Unread, cutover.Unread{What: side, Why: err.Error()})
			}
		}
		p.Complete = p.Complete && len(p.Names[i].Unread) == 0
	}
	return p, nil
}

// reachableSide is a side without a client where its API server does not answer: one question tells, not each name's.
func (m *Migration) reachableSide(ctx context.Context, name string, silent map[string]error) cutover.Side {
	client, err := m.side(name)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		if _, err = client.Version(ctx); err == nil {
			return cutover.Side{Kube: client}
		}
		err = client.Explain(err)
	}
	silent[name] = fmt.Errorf("its API server could not be asked: %w", err)
	return cutover.Side{}
}

func (m *Migration) unknownName(name string) error {
	var known []string
	for _, a := range m.file.Applications {
		known = append(known, a.Name)
	}
	for _, z := range m.file.Zones {
		known = append(known, "any name in "+z.Name)
	}
	return &UnknownError{Kind: "application or name in a zone", Name: name, Known: strings.Join(known, ", ")}
}

// Print writes the pictures as trees.
func (p *Pictures) Print(w io.Writer) error {
	for i, name := range p.Names {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := name.Print(w, p.At); err != nil {
			return err
		}
	}
	return nil
}
