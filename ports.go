package crossfade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/journal"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/ports"
)

// Ports is the map from blue's node ports to green's.
type Ports struct {
	Map      ports.Map      `json:"map"`
	Notes    []plan.Note    `json:"notes,omitempty"`
	Refusals []plan.Refusal `json:"refusals,omitempty"`
	// Kept is true when the map is the one that an earlier run decided on.
	Kept bool `json:"kept"`
}

const stagePorts = "ports"

// portsStage decides on green's node ports once: later stages restore with the same map. It is a part of the verb restore, since
// the verb ports only shows the map.
func (m *Migration) portsStage() stage {
	return backedUp(stage{
		name: stagePorts, verb: "restore", title: "decide which node ports green's Services get", after: "the archive",
		plan: func(ctx context.Context) (*plan.Plan, error) {
			planned, err := m.planPorts(ctx)
			if err != nil {
				return nil, err
			}
			return planned.Stage(m.file.Name, stagePorts), nil
		},
		apply: func(_ context.Context, p *plan.Plan) (any, error) { return p.Data, nil },
	})
}

func (m *Migration) planPorts(ctx context.Context) (ports.Planned, error) {
	green, err := m.side(Green)
	if err != nil {
		return ports.Planned{}, err
	}
	reader, err := m.openArchive(ctx)
	if err != nil {
		return ports.Planned{}, err
	}
	in, err := ports.Read(ctx, reader, ports.FromKube(green), m.file.Name, m.file.Maps)
	if err != nil {
		return ports.Planned{}, err
	}
	return ports.Plan(in), nil
}

// Ports returns the map that a run decided on, or the one that it would decide on now. It changes nothing.
func (m *Migration) Ports(ctx context.Context) (_ *Ports, err error) {
	defer func() { err = m.redact.Error(err) }()
	log, err := m.readLog()
	if err != nil && !errors.Is(err, journal.ErrNone) {
		return nil, err
	}
	if log != nil && log.Stage(stagePorts).Finished {
		p := &Ports{Kept: true}
		if err := json.Unmarshal(log.Stage(stagePorts).Result, &p.Map); err != nil {
			return nil, fmt.Errorf("read the result of %s: %w", stagePorts, err)
		}
		return p, nil
	}
	planned, err := m.planPorts(ctx)
	if err != nil {
		return nil, err
	}
	return &Ports{Map: planned.Map, Notes: planned.Notes, Refusals: planned.Refusals}, nil
}

// portMap is the map that the ports stage decided on.
func (m *Migration) portMap() (map[int32]int32, error) {
	var decided ports.Map
	if err := m.resultOf(stagePorts, &decided); err != nil {
		return nil, err
	}
	return decided.Map(), nil
}

// Print writes the map as a table.
func (p *Ports) Print(w io.Writer) error {
	out := &printer{w: w}
	if len(p.Map) == 0 {
		out.f("no Service of the applications holds a node port\n")
	}
	var rows [][]string
	for _, line := range p.Map {
		rows = append(rows, []string{line.Namespace + "/" + line.Service, line.Name, fmt.Sprint(line.Port), fmt.Sprint(line.New), line.Why})
	}
	if len(rows) > 0 {
		if err := cli.Table(w, []string{"SERVICE", "PORT", "BLUE", "GREEN", "WHY"}, rows); err != nil {
			return err
		}
	}
	for _, n := range p.Notes {
		out.f("%s: %s: %s\n", n.Level, n.What, n.Text)
	}
	for _, r := range p.Refusals {
		out.f("REFUSED %s: %s\n    mend: %s\n", r.What, r.Why, r.Mend)
	}
	return out.err
}

// PrintEnv writes the map as lines of an environment file.
func (p *Ports) PrintEnv(w io.Writer) error {
	out := &printer{w: w}
	for _, line := range p.Map.Env() {
		out.f("%s\n", line)
	}
	return out.err
}
